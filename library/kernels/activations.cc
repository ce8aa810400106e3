#include "kernels/activations.h"

namespace fallow {
namespace {

// Hands out arrays one after the other, each aligned to a cache line.
class Layout {
 public:
  explicit Layout(std::uint8_t* memory) : memory_(memory) {}

  template <typename T>
  T* Take(std::int64_t count) {
    constexpr std::int64_t kAlignment = 64;
    T* array = memory_ ? reinterpret_cast<T*>(memory_ + bytes_) : nullptr;
    const std::int64_t bytes = count * static_cast<std::int64_t>(sizeof(T));
    bytes_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return array;
  }

  std::int64_t bytes() const { return bytes_; }

 private:
  std::uint8_t* memory_;  // null to measure only
  std::int64_t bytes_ = 0;
};

Activations Arrange(Layout& layout, Arithmetic arithmetic, std::int64_t rows, std::int64_t k) {
  Activations result{.arithmetic = arithmetic, .rows = rows, .k = PaddedK(k)};
  const std::int64_t count = rows * result.k;
  switch (arithmetic) {
    case Arithmetic::kFp32:
      result.values = layout.Take<float>(count);
      break;
    case Arithmetic::kBf16:
      result.bf16 = layout.Take<std::uint16_t>(count);
      break;
    case Arithmetic::kExact:
      result.codes = layout.Take<std::int8_t>(count);
      result.scale = layout.Take<float>(count / kGroup);
      result.sum = layout.Take<std::int32_t>(count / kGroup);
      result.scaled_sum = layout.Take<float>(count / kGroup);
      break;
  }
  return result;
}

}  // namespace

std::int64_t ActivationsBytes(Arithmetic arithmetic, std::int64_t rows, std::int64_t k) {
  Layout layout(nullptr);
  Arrange(layout, arithmetic, rows, k);
  return layout.bytes();
}

Activations ActivationsIn(void* memory, Arithmetic arithmetic, std::int64_t rows, std::int64_t k) {
  Layout layout(static_cast<std::uint8_t*>(memory));
  return Arrange(layout, arithmetic, rows, k);
}

}  // namespace fallow
