#include "kernels/cuda/emulator/checker.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernels/cuda/emulator/block.h"
#include "kernels/cuda/emulator/findings.h"

namespace fallow::cuda::emulator {

Checker& Checker::Get() {
  thread_local Checker checker;
  return checker;
}

void Checker::BeginBlock(std::uint64_t number, unsigned threads, std::span<std::uint8_t> shared) {
  block_ = static_cast<std::uint32_t>(number) + 1;
  barriers_ = 0;
  shared_.begin = shared.data();
  shared_.bytes = shared.size();
  clocks_.assign(threads, Clock{});
  for (unsigned i = 0; i < threads; ++i) clocks_[i].of_lane[i % 32] = 1;
}

// Each of the lanes has seen what any of them has, and begins something that no other has seen.
void Checker::JoinLanes(unsigned warp, unsigned lanes) {
  Clock joined;
  const auto each = [&](auto visit) {
    for (unsigned lane = 0; lane < 32; ++lane) {
      if (lanes >> lane & 1) visit(lane, clocks_[warp * 32 + lane]);
    }
  };
  each([&](unsigned, const Clock& clock) {
    for (int i = 0; i < 32; ++i) joined.of_lane[i] = std::max(joined.of_lane[i], clock.of_lane[i]);
  });
  each([&](unsigned lane, Clock& clock) {
    clock = joined;
    ++clock.of_lane[lane];
  });
}

Checker::Byte& Checker::At(const std::uint8_t* p) {
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  Page& page = bytes_[address / kPageBytes];
  if (!page) page = std::make_unique<Byte[]>(kPageBytes);
  return page[address % kPageBytes];
}

const Region* Checker::Find(const void* p) const {
  if (shared_.Contains(p)) return &shared_;
  for (const Region& region : GrantedRegions()) {
    if (region.Contains(p)) return &region;
  }
  return nullptr;
}

void Checker::StopAt(const char* kind, const MemoryAccess& access, const char* text) {
  Report(kind, access.site,
         absl::StrCat(access.write ? "write of " : "read of ", access.bytes, " bytes ", text));
  Block::Running()->Stop();
}

void Checker::CheckPlace(const MemoryAccess& access, const Region* region) {
  if (!region) StopAt("out of bounds", access, "of neither device nor shared memory");
  const auto* last = static_cast<const std::uint8_t*>(access.p) + access.bytes - 1;
  if (!region->Contains(last)) StopAt("out of bounds", access, "beyond the end of an array");
  if (access.write && region->access == emulator::Access::kRead) {
    StopAt("read only", access, "that the kernel may only read");
  }
  const auto address = reinterpret_cast<std::uintptr_t>(access.p);
  const bool power_of_two = (access.bytes & (access.bytes - 1)) == 0;
  if (access.bytes <= 16 && power_of_two && address % access.bytes != 0) {
    StopAt("misaligned", access, "at no multiple of that");
  }
}

bool Checker::IsOrdered(const Event& event, const DeviceThread& thread, bool shared) const {
  if (event.block == 0) return true;
  if (event.block != block_) return shared;  // what a block before this left there
  if (event.thread == thread.number || event.barriers < barriers_) return true;
  return event.thread / 32u == thread.warp() &&
         clocks_[thread.number].of_lane[event.thread % 32] >= event.clock;
}

bool Checker::Races(const Event& event, const MemoryAccess& access, bool shared) const {
  if (event.atomic && access.atomic) return false;
  return !IsOrdered(event, Block::Running()->current(), shared);
}

void Checker::ReportRace(const Event& event, const MemoryAccess& access, const char* what) {
  Report("race", access.site,
         absl::StrCat(access.write ? "write" : "read", " while thread ", event.thread, " of block ",
                      event.block - 1, " ", what, " at ", SourceLine(event.site)));
}

void Checker::CheckByte(const MemoryAccess& access, const Region& region, Byte& byte) {
  const bool shared = IsShared(region);
  if (byte.copied_by_block == block_) {
    Report("copy in flight", access.site, "the thread that copies there has not waited");
    byte.copied_by_block = 0;
  }
  if (Races(byte.write, access, shared)) ReportRace(byte.write, access, "writes");
  if (access.write) {
    for (const Event* read : {&byte.read, &byte.other_read}) {
      if (Races(*read, access, shared)) ReportRace(*read, access, "reads");
    }
    return;
  }
  const bool written = shared ? byte.write.block == block_ : byte.written;
  if (!region.written && !written) {
    Report("unwritten", access.site, "read of memory that nobody has written");
  }
}

void Checker::Note(const MemoryAccess& access, const Region& region, Byte& byte) {
  const DeviceThread& thread = Block::Running()->current();
  const Event now{block_,
                  barriers_,
                  clocks_[thread.number].of_lane[thread.lane()],
                  static_cast<std::uint16_t>(thread.number),
                  access.atomic,
                  access.site};
  if (access.write) {
    byte.write = now;
    byte.written = true;
  } else if (byte.read.thread == thread.number || IsOrdered(byte.read, thread, IsShared(region))) {
    byte.read = now;
  } else {
    byte.other_read = now;
  }
}

void Checker::CheckBytes(const MemoryAccess& access, const Region& region) {
  if (region.access == emulator::Access::kRead) return;  // nobody writes there
  const auto* p = static_cast<const std::uint8_t*>(access.p);
  for (std::size_t i = 0; i < access.bytes; ++i) {
    Byte& byte = At(p + i);
    CheckByte(access, region, byte);
    Note(access, region, byte);
  }
}

void Checker::Access(const MemoryAccess& access) {
  Block& block = *Block::Running();
  const DeviceThread& thread = block.current();
  if (thread.fiber.OwnsStack(access.p)) return;
  if (access.p >= &builtins && access.p < &builtins + 1) return;
  const Region* region = Find(access.p);
  CheckPlace(access, region);
  const Options& options = CurrentOptions();
  if (options.count_traffic) {
    const bool shared = IsShared(*region);
    const auto* begin = shared ? shared_.begin : nullptr;
    traffic_.Count(
        {.site = access.site,
         .address = static_cast<std::uint64_t>(static_cast<const std::uint8_t*>(access.p) - begin),
         .bytes = static_cast<unsigned>(access.bytes),
         .thread = thread.number,
         .shared = shared,
         .write = access.write});
  }
  CheckBytes(access, *region);
  if (options.preempt_one_in && block.draw()(options.preempt_one_in) == 0) block.LetOthersRun();
}

// The bytes it writes are as good as written now, and not to be touched until EndCopy.
void Checker::BeginCopy(const Copy& copy) {
  if (copy.from) Access({copy.from, 16, copy.site});
  Access({copy.to, 16, copy.site, /*write=*/true});
  if (!IsShared(*Find(copy.to))) {
    StopAt("out of bounds", {copy.to, 16, copy.site, /*write=*/true}, "by a copy to shared memory");
  }
  for (int i = 0; i < 16; ++i) At(static_cast<std::uint8_t*>(copy.to) + i).copied_by_block = block_;
}

// Now it is a write of the thread that has waited.
void Checker::EndCopy(const Copy& copy) {
  for (int i = 0; i < 16; ++i) At(static_cast<std::uint8_t*>(copy.to) + i).copied_by_block = 0;
  CheckBytes({copy.to, 16, copy.site, /*write=*/true}, shared_);
}

}  // namespace fallow::cuda::emulator
