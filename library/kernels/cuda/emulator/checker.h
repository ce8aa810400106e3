// Watches each access to memory of a kernel's threads: in checked builds, whose kernels are
// compiled with -fsanitize=thread,bounds but linked with callbacks.cc instead of the compiler's run
// time.
//
// Two accesses to a byte race unless one happens before the other in every run: a barrier of the
// block lies between them, or __syncwarp of lanes of one warp. So one run in any order shows them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "kernels/cuda/emulator/copies.h"
#include "kernels/cuda/emulator/memory.h"
#include "kernels/cuda/emulator/traffic.h"

namespace fallow::cuda::emulator {

struct MemoryAccess {
  const void* p;
  std::size_t bytes;
  const void* site;  // the return address in the kernel
  bool write = false;
  bool atomic = false;
};

struct DeviceThread;

// One for each thread of the operating system. What it finds goes to Report(), as "out of bounds",
// "misaligned", "read only", "race", "unwritten" or "copy in flight"; the first three stop the
// launch.
class Checker {
 public:
  static Checker& Get();

  void BeginLaunch() { bytes_.clear(); }
  void BeginBlock(std::uint64_t number, unsigned threads, std::span<std::uint8_t> shared);
  void EndBlock() { traffic_.EndBlock(); }

  // By the running device thread.
  void Access(const MemoryAccess& access);
  void BeginCopy(const Copy& copy);
  void EndCopy(const Copy& copy);

  void PassBarrier() { ++barriers_; }
  void JoinLanes(unsigned warp, unsigned lanes);

 private:
  struct Clock {
    std::uint32_t of_lane[32] = {};  // how much of each lane of its warp a thread has seen
  };

  // A past access.
  struct Event {
    std::uint32_t block = 0;  // its number + 1; 0: there was none
    std::uint32_t barriers = 0;
    std::uint32_t clock = 0;
    std::uint16_t thread = 0;
    bool atomic = false;
    const void* site = nullptr;
  };

  // What is known of a byte: its last write, and two reads that no order binds.
  struct Byte {
    Event write, read, other_read;
    std::uint32_t copied_by_block = 0;  // a copy to it is in flight
    bool written = false;
  };

  static constexpr std::uintptr_t kPageBytes = 256;
  using Page = std::unique_ptr<Byte[]>;

  Byte& At(const std::uint8_t* p);
  const Region* Find(const void* p) const;
  bool IsShared(const Region& region) const { return &region == &shared_; }
  [[noreturn]] void StopAt(const char* kind, const MemoryAccess& access, const char* text);
  void CheckPlace(const MemoryAccess& access, const Region* region);
  void CheckByte(const MemoryAccess& access, const Region& region, Byte& byte);
  bool IsOrdered(const Event& event, const DeviceThread& thread, bool shared) const;
  bool Races(const Event& event, const MemoryAccess& access, bool shared) const;
  void ReportRace(const Event& event, const MemoryAccess& access, const char* what);
  void Note(const MemoryAccess& access, const Region& region, Byte& byte);
  void CheckBytes(const MemoryAccess& access, const Region& region);

  Region shared_{.access = emulator::Access::kReadWrite, .written = false};
  std::unordered_map<std::uintptr_t, Page> bytes_;  // by address / kPageBytes
  std::vector<Clock> clocks_;                       // of the block's threads
  std::uint32_t block_ = 0;                         // its number + 1
  std::uint32_t barriers_ = 0;                      // passed by the block
  Traffic traffic_;
};

}  // namespace fallow::cuda::emulator
