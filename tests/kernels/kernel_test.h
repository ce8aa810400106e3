// What the tests of all kernel families share: random data, rows of activations, comparisons.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <vector>

#include "kernels/activations.h"
#include "kernels/float_bits.h"
#include "kernels/kernel_table.h"

namespace fallow::test {

// Marsaglia's xorshift: the same numbers on every machine.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}

  std::uint32_t Bits() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<std::uint32_t>(state_ >> 32);
  }
  float Next() { return static_cast<float>(static_cast<std::int32_t>(Bits())) * 0x1p-31f; }
  std::vector<float> Many(std::int64_t count, float scale = 1) {
    std::vector<float> x(count);
    for (float& v : x) v = Next() * scale;
    return x;
  }

 private:
  std::uint64_t state_;
};

// FNV-1a, 64 bits.
inline std::uint64_t HashBytes(std::span<const std::uint8_t> bytes) {
  std::uint64_t hash = 14695981039346656037u;
  for (std::uint8_t byte : bytes) hash = (hash ^ byte) * 1099511628211u;
  return hash;
}

template <typename T>
std::uint64_t Hash(const std::vector<T>& x) {
  return HashBytes({reinterpret_cast<const std::uint8_t*>(x.data()), x.size() * sizeof(T)});
}

template <typename T>
bool SameBits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

// The largest |got - want| / (1 + |want|).
inline double LargestError(const std::vector<float>& got, const std::vector<float>& want) {
  double largest = got.size() == want.size() ? 0 : INFINITY;
  for (std::size_t i = 0; i < got.size() && i < want.size(); ++i) {
    const double error = std::abs(double{got[i]} - want[i]) / (1 + std::abs(want[i]));
    if (!(error <= largest)) largest = error;  // a NaN stays
  }
  return largest;
}

// Zeroed rows of activations that own their memory.
class ActivationRows {
 public:
  ActivationRows(Arithmetic arithmetic, std::int64_t rows, std::int64_t n)
      : bytes_(ActivationsBytes(arithmetic, rows, n)),
        memory_(new (std::align_val_t{64}) std::uint8_t[bytes_ + 1]()),
        view_(ActivationsIn(memory_.get(), arithmetic, rows, n)) {}

  const Activations& view() const { return view_; }

  // All arrays, for comparison of bits.
  std::vector<std::uint8_t> bytes() const { return {memory_.get(), memory_.get() + bytes_}; }

  // The numbers they stand for: [rows, k]
  std::vector<float> Values() const {
    std::vector<float> values(view_.rows * view_.k);
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (view_.values) values[i] = view_.values[i];
      if (view_.bf16) values[i] = FloatFromBf16(view_.bf16[i]);
      if (view_.codes) values[i] = view_.scale[i / kGroup] * static_cast<float>(view_.codes[i]);
    }
    return values;
  }

 private:
  struct Delete {
    void operator()(std::uint8_t* p) const { operator delete[](p, std::align_val_t{64}); }
  };
  std::int64_t bytes_;
  std::unique_ptr<std::uint8_t[], Delete> memory_;
  Activations view_;
};

// How far two rows of kExact are apart, in steps of one code of their groups: rounding moves a
// number by half a step, a near-tie may go either way.
inline double LargestStep(const ActivationRows& got, const ActivationRows& want) {
  const auto a = got.Values();
  const auto b = want.Values();
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double step = want.view().scale[i / kGroup];
    const double error = std::abs(double{a[i]} - b[i]);
    if (!(error <= largest * step)) largest = step > 0 ? error / step : INFINITY;
  }
  return largest;
}

// The tables of which a test program shows that they are right: those of the processor, or of CUDA
// kernels in an emulator.
std::span<const KernelTable* const> TestedKernels();

// Calls run(range) for [0, n) whole, or split into pieces of one, the last first.
template <typename Run>
void Whole(std::int64_t n, Run run) {
  run(Range{0, n});
}
template <typename Run>
void InPieces(std::int64_t n, Run run) {
  for (std::int64_t i = n; i-- > 0;) run(Range{i, i + 1});
}

}  // namespace fallow::test
