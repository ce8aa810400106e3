#include "tests/ptx/memory.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace fallow::ptx {
namespace {

constexpr std::byte kPoison{0xcd};

bool Within(std::uint64_t address, std::int64_t bytes, std::int64_t size) {
  return bytes <= size && address <= static_cast<std::uint64_t>(size - bytes);
}

Place OutOfBounds(std::string_view space, std::uint64_t address, std::int64_t bytes,
                  std::int64_t size) {
  return {nullptr, absl::StrCat(bytes, " bytes at ", static_cast<std::int64_t>(address), " of ",
                                size, " bytes of ", std::string(space), " memory")};
}

}  // namespace

std::string GlobalMemory::Fault(std::uint64_t address, std::int64_t bytes, Access access) const {
  if (trusts_host_) return "";
  auto after = buffers_.upper_bound(address);
  if (after == buffers_.begin()) return absl::StrCat(bytes, " bytes in front of all buffers");
  const auto& [begin, buffer] = *std::prev(after);
  const auto offset = static_cast<std::int64_t>(address - begin);
  if (offset + bytes > buffer.bytes) {
    return absl::StrCat(bytes, " bytes at ", offset, " of a buffer of ", buffer.bytes, " bytes");
  }
  if (access == Access::kWrite && !buffer.writable) return "a write to a read-only buffer";
  return "";
}

BlockMemory::BlockMemory(const Kernel& kernel, const GlobalMemory& global,
                         std::vector<std::byte> parameters, std::int64_t shared_bytes, int threads)
    : global_(global),
      local_bytes_((kernel.local_bytes + 15) / 16 * 16),
      parameters_(std::move(parameters)),
      shared_(shared_bytes),
      written_(shared_bytes),
      local_(local_bytes_ * threads) {}

void BlockMemory::Clear() {
  std::fill(shared_.begin(), shared_.end(), kPoison);
  std::fill(written_.begin(), written_.end(), 0);
  std::fill(local_.begin(), local_.end(), kPoison);
}

Place BlockMemory::At(Space space, std::uint64_t address, std::int64_t bytes, Access access,
                      int thread) {
  if (address % bytes != 0)
    return {nullptr, absl::StrCat("misaligned access of ", bytes, " bytes")};
  if (space == Space::kGeneric && address >= kSharedWindow) {
    const std::uint64_t window = (address - kSharedWindow) / kWindowBytes;
    address -= kSharedWindow + window * kWindowBytes;
    space = window == 0 ? Space::kShared : window == 1 ? Space::kLocal : Space::kParameter;
  }
  switch (space) {
    case Space::kShared:
      return Shared(address, bytes, access);
    case Space::kLocal:
      return Local(address, bytes, thread);
    case Space::kParameter:
      return Parameter(address, bytes, access);
    default:
      break;
  }
  std::string fault = global_.Fault(address, bytes, access);
  if (!fault.empty()) return {nullptr, std::move(fault)};
  return {reinterpret_cast<std::byte*>(address), ""};
}

void BlockMemory::ForgetShared(std::uint64_t address, std::int64_t bytes) {
  std::fill_n(written_.begin() + static_cast<std::int64_t>(address % kWindowBytes), bytes, 0);
}

Place BlockMemory::Shared(std::uint64_t address, std::int64_t bytes, Access access) {
  const auto size = static_cast<std::int64_t>(shared_.size());
  if (!Within(address, bytes, size)) return OutOfBounds("shared", address, bytes, size);
  const auto flags = written_.begin() + static_cast<std::int64_t>(address);
  if (access == Access::kWrite) {
    std::fill_n(flags, bytes, 1);
  } else if (std::find(flags, flags + bytes, 0) != flags + bytes) {
    return {nullptr, "a read of shared memory that was not written, or is still being copied to"};
  }
  return {shared_.data() + address, ""};
}

Place BlockMemory::Local(std::uint64_t address, std::int64_t bytes, int thread) {
  if (!Within(address, bytes, local_bytes_)) {
    return OutOfBounds("local", address, bytes, local_bytes_);
  }
  return {local_.data() + thread * local_bytes_ + address, ""};
}

Place BlockMemory::Parameter(std::uint64_t address, std::int64_t bytes, Access access) {
  const auto size = static_cast<std::int64_t>(parameters_.size());
  if (access == Access::kWrite) return {nullptr, "a write to parameters"};
  if (!Within(address, bytes, size)) return OutOfBounds("parameter", address, bytes, size);
  return {parameters_.data() + address, ""};
}

}  // namespace fallow::ptx
