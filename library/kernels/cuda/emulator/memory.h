// The memory of the host that kernels may touch, as device memory: what a checked build holds them
// to, and who runs launches in its place. Others take no notice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fallow::cuda::emulator {

enum class Access { kRead, kReadWrite };

struct Region {
  const std::uint8_t* begin = nullptr;
  std::size_t bytes = 0;
  Access access = Access::kRead;
  bool written = true;  // else a byte may be read only once a kernel has written it

  bool Contains(const void* p) const {
    const auto* byte = static_cast<const std::uint8_t*>(p);
    return byte >= begin && byte < begin + bytes;
  }
};

// What is granted to the launches of this thread of the operating system. What may be written comes
// first: a part of it may be granted once more, to be read.
const std::vector<Region>& GrantedRegions();

// Grants an array while it lives. Null grants nothing.
class Memory {
 public:
  template <typename T>
  static Memory Read(const T* begin, std::int64_t count) {
    return Memory(begin, count, sizeof(T), Access::kRead, true);
  }
  template <typename T>
  static Memory ReadWrite(T* begin, std::int64_t count) {
    return Memory(begin, count, sizeof(T), Access::kReadWrite, true);
  }
  // What kernels write first.
  template <typename T>
  static Memory Write(T* begin, std::int64_t count) {
    return Memory(begin, count, sizeof(T), Access::kReadWrite, false);
  }

  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

 private:
  Memory(const void* begin, std::int64_t count, std::size_t size, Access access, bool written);

  const Region region_;
};

}  // namespace fallow::cuda::emulator
