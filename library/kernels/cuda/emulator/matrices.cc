// ldmatrix, and the products of the tensor cores.
//
// Fragments are those of the PTX ISA. With group = lane / 4 and column = lane % 4, and w numbers in
// a register of 32 bits (two of 16 bits, four of 8):
//   A [16, 8 w]   a[i]  row group + 8 (i % 2), columns from w (column + 4 (i / 2)) on
//   B [8 w, 8]    b[i]  column group, rows from w (column + 4 i) on
//   D [16, 8]     d[i]  row group + 8 (i / 2), column 2 column + i % 2
#include <cstring>

#include "kernels/cuda/emulator/block.h"
#include "kernels/cuda/emulator/checker.h"
#include "kernels/cuda/emulator/findings.h"

namespace fallow::cuda::emulator {
namespace {

enum class Number { kBf16, kFp16, kInt8 };

template <Number kNumber>
constexpr int kBits = kNumber == Number::kInt8 ? 8 : 16;

template <Number kNumber>
using Sum = std::conditional_t<kNumber == Number::kInt8, std::int32_t, float>;

// Number i of a register.
template <Number kNumber>
Sum<kNumber> At(std::uint32_t word, int i) {
  const std::uint32_t bits = word >> (kBits<kNumber> * i);
  if constexpr (kNumber == Number::kInt8) return static_cast<std::int8_t>(bits);
  if constexpr (kNumber == Number::kBf16) return FloatFromBf16(static_cast<std::uint16_t>(bits));
  return static_cast<Sum<kNumber>>(FloatFromFp16(static_cast<std::uint16_t>(bits)));
}

template <Number kNumber>
struct Fragments {
  Sum<kNumber>* d;
  const std::uint32_t* a;
  const std::uint32_t* b;
};

template <Number kNumber>
struct Matrices {
  static constexpr int kPerWord = 32 / kBits<kNumber>;
  static constexpr int kDepth = 8 * kPerWord;

  explicit Matrices(void* const (&brought)[32]) {
    for (int lane = 0; lane < 32; ++lane) {
      const auto& own = *static_cast<Fragments<kNumber>*>(brought[lane]);
      for (int i = 0; i < kPerWord; ++i) {
        const int k = kPerWord * (lane % 4) + i;
        for (int j = 0; j < 4; ++j) {
          a[lane / 4 + 8 * (j % 2)][k + kDepth / 2 * (j / 2)] = At<kNumber>(own.a[j], i);
        }
        for (int j = 0; j < 2; ++j) b[k + kDepth / 2 * j][lane / 4] = At<kNumber>(own.b[j], i);
      }
    }
  }

  Sum<kNumber> a[16][kDepth];
  Sum<kNumber> b[kDepth][8];
};

template <Number kNumber>
void DoMultiplyAdd(unsigned, void* const (&brought)[32], std::uint64_t) {
  const Matrices<kNumber> m(brought);
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4 + 8 * (i / 2);
      const int column = 2 * (lane % 4) + i % 2;
      Sum<kNumber> sum = 0;
      for (int k = 0; k < m.kDepth; ++k) sum += m.a[row][k] * m.b[k][column];
      static_cast<Fragments<kNumber>*>(brought[lane])->d[i] += sum;
    }
  }
}

template <Number kNumber>
void MultiplyAdd(Sum<kNumber>* d, const std::uint32_t* a, const std::uint32_t* b,
                 const void* site) {
  Fragments<kNumber> own{d, a, b};
  Block::Running()->MeetInWarp({.mask = ~0u, .function = DoMultiplyAdd<kNumber>}, &own, site);
}

struct MatrixLane {
  const void* row;
  std::uint32_t* r;
};

void DoLoadMatrices(unsigned, void* const (&brought)[32], std::uint64_t transposed) {
  for (int matrix = 0; matrix < 4; ++matrix) {
    std::uint16_t m[8][8];
    for (int row = 0; row < 8; ++row) {
      std::memcpy(m[row], static_cast<MatrixLane*>(brought[8 * matrix + row])->row, 16);
    }
    for (int lane = 0; lane < 32; ++lane) {
      const int i = lane / 4;
      const int j = 2 * (lane % 4);
      const std::uint32_t low = transposed ? m[j][i] : m[i][j];
      const std::uint32_t high = transposed ? m[j + 1][i] : m[i][j + 1];
      static_cast<MatrixLane*>(brought[lane])->r[matrix] = low | high << 16;
    }
  }
}

void LoadMatrices(std::uint32_t* r, const void* row, bool transposed, const void* site) {
  if constexpr (kChecked) Checker::Get().Access({row, 16, site});
  MatrixLane own{row, r};
  Block::Running()->MeetInWarp({.mask = ~0u, .function = DoLoadMatrices, .variant = transposed},
                               &own, site);
}

}  // namespace
}  // namespace fallow::cuda::emulator

namespace fallow::cuda {

__attribute__((noinline)) void LoadMatrices(std::uint32_t (&r)[4], const void* row) {
  emulator::LoadMatrices(r, row, false, __builtin_return_address(0));
}

__attribute__((noinline)) void LoadMatricesTransposed(std::uint32_t (&r)[4], const void* row) {
  emulator::LoadMatrices(r, row, true, __builtin_return_address(0));
}

__attribute__((noinline)) void MultiplyAddBf16(float (&d)[4], const std::uint32_t (&a)[4],
                                               const std::uint32_t (&b)[2]) {
  emulator::MultiplyAdd<emulator::Number::kBf16>(d, a, b, __builtin_return_address(0));
}

__attribute__((noinline)) void MultiplyAddFp16(float (&d)[4], const std::uint32_t (&a)[4],
                                               const std::uint32_t (&b)[2]) {
  emulator::MultiplyAdd<emulator::Number::kFp16>(d, a, b, __builtin_return_address(0));
}

__attribute__((noinline)) void MultiplyAddInt8(std::int32_t (&d)[4], const std::uint32_t (&a)[4],
                                               const std::uint32_t (&b)[2]) {
  emulator::MultiplyAdd<emulator::Number::kInt8>(d, a, b, __builtin_return_address(0));
}

}  // namespace fallow::cuda
