// Loops over the tiles that large products consist of, one for each instruction set.
#pragma once

#include <cstdint>

#include "kernels/numeric.h"

#define FALLOW_DECLARE_MULTIPLY_ADDS(isa)                        \
  namespace isa {                                                \
  double MultiplyAdds(WeightType type, std::int64_t iterations); \
  }

// Computes one tile of panels and rows again and again, out of the nearest cache, and returns how
// many multiply-adds that were.
namespace fallow {
FALLOW_DECLARE_MULTIPLY_ADDS(avx512)
FALLOW_DECLARE_MULTIPLY_ADDS(avx2vnni)
FALLOW_DECLARE_MULTIPLY_ADDS(avx2)
FALLOW_DECLARE_MULTIPLY_ADDS(neoni8mm)
FALLOW_DECLARE_MULTIPLY_ADDS(neondot)
FALLOW_DECLARE_MULTIPLY_ADDS(neon)
FALLOW_DECLARE_MULTIPLY_ADDS(generic)
}  // namespace fallow

#undef FALLOW_DECLARE_MULTIPLY_ADDS
