// Who owns which memory of an emulated device.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

namespace fallow::cuda::emulator {

struct Allocation {
  std::int64_t bytes = 0;
  std::uint64_t number = 0;  // that no other has had
};

// By first byte.
class Allocations {
 public:
  using Map = std::map<const std::uint8_t*, Allocation>;

  void Add(const std::uint8_t* begin, std::int64_t bytes) { all_[begin] = {bytes, ++last_number_}; }
  Allocation Remove(const std::uint8_t* begin);

  bool Contain(const void* begin, std::int64_t bytes) const;
  const Map& all() const { return all_; }

  // The allocations that words name, taken as addresses; whether they are all still there.
  std::vector<std::uint64_t> NamedBy(std::span<const std::uint64_t> words) const;
  bool HaveAll(std::span<const std::uint64_t> numbers) const;

 private:
  const Map::value_type* Find(const void* p) const;

  Map all_;
  std::uint64_t last_number_ = 0;
};

}  // namespace fallow::cuda::emulator
