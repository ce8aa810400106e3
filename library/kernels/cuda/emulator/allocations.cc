#include "kernels/cuda/emulator/allocations.h"

#include <algorithm>

namespace fallow::cuda::emulator {

Allocation Allocations::Remove(const std::uint8_t* begin) {
  const auto at = all_.find(begin);
  if (at == all_.end()) return {};
  const Allocation allocation = at->second;
  all_.erase(at);
  return allocation;
}

const Allocations::Map::value_type* Allocations::Find(const void* p) const {
  const auto* byte = static_cast<const std::uint8_t*>(p);
  auto next = all_.upper_bound(byte);
  if (next == all_.begin()) return nullptr;
  --next;
  return byte < next->first + next->second.bytes ? &*next : nullptr;
}

bool Allocations::Contain(const void* begin, std::int64_t bytes) const {
  const Map::value_type* found = Find(begin);
  return found &&
         static_cast<const std::uint8_t*>(begin) + bytes <= found->first + found->second.bytes;
}

std::vector<std::uint64_t> Allocations::NamedBy(std::span<const std::uint64_t> words) const {
  std::vector<std::uint64_t> numbers;
  for (const std::uint64_t word : words) {
    const Map::value_type* found = Find(reinterpret_cast<const void*>(word));
    if (found) numbers.push_back(found->second.number);
  }
  return numbers;
}

bool Allocations::HaveAll(std::span<const std::uint64_t> numbers) const {
  return std::all_of(numbers.begin(), numbers.end(), [&](std::uint64_t number) {
    return std::any_of(all_.begin(), all_.end(),
                       [&](const auto& entry) { return entry.second.number == number; });
  });
}

}  // namespace fallow::cuda::emulator
