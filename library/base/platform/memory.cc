#include "base/platform/memory.h"

#include <sys/mman.h>

namespace fallow {

std::uint8_t* ReserveMemory(std::int64_t bytes) {
  void* memory = mmap(nullptr, static_cast<std::size_t>(bytes), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<std::uint8_t*>(memory);
}

void ReleaseMemory(std::uint8_t* memory, std::int64_t bytes) {
  munmap(memory, static_cast<std::size_t>(bytes));
}

}  // namespace fallow
