#include "base/float_mode.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fallow {
namespace {

#if defined(__x86_64__)

constexpr std::uint64_t kDefaultMode = 0x1f80;  // exceptions masked, nearest even, no FTZ, no DAZ

std::uint64_t Mode() { return _mm_getcsr(); }
void SetMode(std::uint64_t mode) { _mm_setcsr(static_cast<unsigned>(mode)); }

#elif defined(__aarch64__)

constexpr std::uint64_t kDefaultMode = 0;

std::uint64_t Mode() {
  std::uint64_t mode;
  asm volatile("mrs %0, fpcr" : "=r"(mode));
  return mode;
}
void SetMode(std::uint64_t mode) { asm volatile("msr fpcr, %0" : : "r"(mode)); }

#else
#error "fallow knows x86-64 and AArch64 only: see DefaultFloatMode"
#endif

}  // namespace

DefaultFloatMode::DefaultFloatMode() : saved_(Mode()) { SetMode(kDefaultMode); }

DefaultFloatMode::~DefaultFloatMode() { SetMode(saved_); }

}  // namespace fallow
