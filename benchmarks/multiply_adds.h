// Loops that do nothing but multiply and add, one for each instruction set (multiply_adds.cc).
#pragma once

#include <cstdint>

#include "kernels/numeric.h"

#define FALLOW_DECLARE_MULTIPLY_ADDS(isa)                              \
  namespace isa {                                                      \
  double MultiplyAdds(Arithmetic arithmetic, std::int64_t iterations); \
  }

// Runs the loop and returns how many multiply-adds that were.
namespace fallow {
FALLOW_DECLARE_MULTIPLY_ADDS(avx512)
FALLOW_DECLARE_MULTIPLY_ADDS(avx2vnni)
FALLOW_DECLARE_MULTIPLY_ADDS(avx2)
FALLOW_DECLARE_MULTIPLY_ADDS(generic)
}  // namespace fallow

#undef FALLOW_DECLARE_MULTIPLY_ADDS
