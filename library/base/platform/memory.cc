#include "base/platform/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace fallow {

std::uint8_t* ReserveMemory(std::int64_t bytes) {
  void* memory = mmap(nullptr, static_cast<std::size_t>(bytes), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<std::uint8_t*>(memory);
}

void PreferLargePages([[maybe_unused]] std::uint8_t* memory, [[maybe_unused]] std::int64_t bytes) {
#if defined(MADV_HUGEPAGE)
  madvise(memory, static_cast<std::size_t>(bytes), MADV_HUGEPAGE);
#endif
}

void AllowAccess(std::uint8_t* memory, std::int64_t bytes, bool allowed) {
  mprotect(memory, static_cast<std::size_t>(bytes), allowed ? PROT_READ | PROT_WRITE : PROT_NONE);
}

void ReleaseMemory(std::uint8_t* memory, std::int64_t bytes) {
  munmap(memory, static_cast<std::size_t>(bytes));
}

std::int64_t UsableMemory() {
  const std::int64_t machine = std::int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGE_SIZE);
  std::ifstream limit("/sys/fs/cgroup/memory.max");  // "max" where there is none
  std::int64_t group = 0;
  return limit >> group && group > 0 ? std::min(machine, group) : machine;
}

}  // namespace fallow
