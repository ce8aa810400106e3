#include "kernels/cuda/emulator/memory.h"

#include <algorithm>

namespace fallow::cuda::emulator {
namespace {

thread_local std::vector<Region> granted;

}  // namespace

const std::vector<Region>& GrantedRegions() { return granted; }

Memory::Memory(const void* begin, std::int64_t count, std::size_t size, Access access, bool written)
    : region_{static_cast<const std::uint8_t*>(begin),
              begin ? static_cast<std::size_t>(count) * size : 0, access, written} {
  if (region_.bytes == 0) return;
  const bool first = access == Access::kReadWrite;
  granted.insert(first ? granted.begin() : granted.end(), region_);
}

Memory::~Memory() {
  const auto same = [&](const Region& r) {
    return r.begin == region_.begin && r.bytes == region_.bytes && r.access == region_.access;
  };
  const auto at = std::find_if(granted.begin(), granted.end(), same);
  if (at != granted.end()) granted.erase(at);
}

}  // namespace fallow::cuda::emulator
