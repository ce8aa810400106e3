// Philox-4x32-10: random numbers as a pure function of a key and a counter.
#pragma once

#include <array>
#include <cstdint>

namespace fallow {

// Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011.
std::array<std::uint32_t, 4> Philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key);

}  // namespace fallow
