// What a kernel may read and write, each access checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/ptx/program.h"

namespace fallow::ptx {

enum class Access : std::uint8_t { kRead, kWrite };

// Host memory that kernels may touch, by its host addresses. Buffers must not overlap and are
// borrowed until Remove().
class GlobalMemory {
 public:
  void AddReadOnly(const void* begin, std::int64_t bytes) { Add(begin, {bytes, false}); }
  void Add(void* begin, std::int64_t bytes) { Add(begin, {bytes, true}); }
  // From now on any address of the host is good, where nobody knows the buffers. A program under
  // AddressSanitizer still notices bad ones: it is its own code that reads and writes.
  void TrustHost() { trusts_host_ = true; }
  void Remove(const void* begin) { buffers_.erase(reinterpret_cast<std::uint64_t>(begin)); }

  // Why [address, address + bytes) may not be accessed so; empty if it may.
  std::string Fault(std::uint64_t address, std::int64_t bytes, Access access) const;

 private:
  struct Buffer {
    std::int64_t bytes;
    bool writable;
  };
  void Add(const void* begin, Buffer buffer) {
    buffers_[reinterpret_cast<std::uint64_t>(begin)] = buffer;
  }

  std::map<std::uint64_t, Buffer> buffers_;
  bool trusts_host_ = false;
};

// A place that was checked, or the reason why there is none.
struct Place {
  std::byte* at = nullptr;
  std::string fault;
};

// Parameters, and the shared and local memory of one block at a time.
class BlockMemory {
 public:
  BlockMemory(const Kernel& kernel, const GlobalMemory& global, std::vector<std::byte> parameters,
              std::int64_t shared_bytes, int threads);

  // Forgets what a block before this one wrote.
  void Clear();

  // `bytes` is a power of two, to whose multiples addresses must be aligned. Shared memory that
  // nobody has written must not be read.
  Place At(Space space, std::uint64_t address, std::int64_t bytes, Access access, int thread);

  // Makes a copy that has not landed yet unreadable. The place has been checked.
  void ForgetShared(std::uint64_t address, std::int64_t bytes);

 private:
  Place Shared(std::uint64_t address, std::int64_t bytes, Access access);
  Place Local(std::uint64_t address, std::int64_t bytes, int thread);
  Place Parameter(std::uint64_t address, std::int64_t bytes, Access access);

  const GlobalMemory& global_;
  std::int64_t local_bytes_;
  std::vector<std::byte> parameters_;
  std::vector<std::byte> shared_;
  std::vector<char> written_;     // a flag for each byte of shared_
  std::vector<std::byte> local_;  // [threads, local_bytes_]
};

}  // namespace fallow::ptx
