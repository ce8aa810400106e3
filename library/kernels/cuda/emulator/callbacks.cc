// What -fsanitize=thread,bounds has the kernels of a checked build call, instead of the compiler's
// own run time. Outside of a kernel they do nothing.
#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "kernels/cuda/emulator/block.h"
#include "kernels/cuda/emulator/checker.h"
#include "kernels/cuda/emulator/findings.h"

namespace {

using fallow::cuda::emulator::Block;
using fallow::cuda::emulator::Checker;
using fallow::cuda::emulator::ReportAt;

void Watch(const void* p, std::size_t bytes, bool write, const void* site) {
  if (Block::Running() && bytes > 0) Checker::Get().Access({p, bytes, site, write});
}

// The beginning of what the compiler says of an array that is indexed.
struct ArrayBounds {
  const char* file;
  unsigned line;
  unsigned column;
};

void ReportIndex(const ArrayBounds& place, unsigned long index) {
  std::string file(place.file);
  file.erase(0, file.rfind('/') + 1);
  ReportAt("out of bounds", absl::StrCat(file, ":", place.line),
           absl::StrCat("index ", index, " of an array"));
}

}  // namespace

#define FALLOW_WATCH(name, bytes, write) \
  extern "C" void __tsan_##name(void* p) { Watch(p, bytes, write, __builtin_return_address(0)); }
#define FALLOW_WATCH_BOTH(bytes)                    \
  FALLOW_WATCH(read##bytes, bytes, false)           \
  FALLOW_WATCH(write##bytes, bytes, true)           \
  FALLOW_WATCH(volatile_read##bytes, bytes, false)  \
  FALLOW_WATCH(volatile_write##bytes, bytes, true)  \
  FALLOW_WATCH(unaligned_read##bytes, bytes, false) \
  FALLOW_WATCH(unaligned_write##bytes, bytes, true)

FALLOW_WATCH_BOTH(1)
FALLOW_WATCH_BOTH(2)
FALLOW_WATCH_BOTH(4)
FALLOW_WATCH_BOTH(8)
FALLOW_WATCH_BOTH(16)

extern "C" {

void __tsan_read_range(void* p, unsigned long bytes) {
  Watch(p, bytes, false, __builtin_return_address(0));
}
void __tsan_write_range(void* p, unsigned long bytes) {
  Watch(p, bytes, true, __builtin_return_address(0));
}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_init() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}

void __ubsan_handle_out_of_bounds(const ArrayBounds* place, unsigned long index) {
  ReportIndex(*place, index);
  if (Block* block = Block::Running()) block->Stop();
}

}  // extern "C"
