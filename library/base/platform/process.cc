#include "base/platform/allocator.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace fallow {

void TuneAllocator() {
#if defined(__GLIBC__)
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
#endif
}

}  // namespace fallow
