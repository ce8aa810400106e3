#include "base/philox.h"

#include <catch2/catch_test_macros.hpp>

namespace fallow {
namespace {

using Counter = std::array<std::uint32_t, 4>;
using Key = std::array<std::uint32_t, 2>;

// The known answers that the authors publish with Random123 (tests/kat_vectors).
TEST_CASE("Philox-4x32-10 gives its authors' known answers", "[base][philox]") {
  const std::uint32_t ones = 0xffffffff;
  CHECK(Philox4x32(Counter{}, Key{}) == Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(Philox4x32(Counter{ones, ones, ones, ones}, Key{ones, ones}) ==
        Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(Philox4x32(Counter{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                   Key{0xa4093822, 0x299f31d0}) ==
        Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

}  // namespace
}  // namespace fallow
