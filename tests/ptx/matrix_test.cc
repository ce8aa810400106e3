// ldmatrix and mma against three nested loops.
#include <cmath>
#include <cstring>

#include "kernels/float_bits.h"
#include "tests/ptx/nvcc_test.h"

namespace fallow::ptx {
namespace {

enum class Kind { kBf16, kFp16, kInt8 };

// [rows, k] of small numbers as rows of bytes, and what they are.
struct Matrix {
  std::vector<std::uint8_t> bytes;
  std::vector<float> values;
};

Matrix SomeMatrix(Kind kind, int rows, int k, std::uint32_t seed) {
  Matrix matrix;
  for (int i = 0; i < rows * k; ++i) {
    seed = seed * 1664525 + 1013904223;
    const auto byte = static_cast<std::int8_t>(seed >> 24);
    if (kind == Kind::kInt8) {
      matrix.bytes.push_back(static_cast<std::uint8_t>(byte));
      matrix.values.push_back(byte);
      continue;
    }
    const float value = static_cast<float>(byte) / 32;  // both formats hold it
    const std::uint16_t bits = kind == Kind::kBf16 ? Bf16FromFloat(value) : Fp16FromFloat(value);
    matrix.bytes.push_back(static_cast<std::uint8_t>(bits));
    matrix.bytes.push_back(static_cast<std::uint8_t>(bits >> 8));
    matrix.values.push_back(value);
  }
  return matrix;
}

// C += A B' in plain loops. Exact: the numbers have few bits.
template <typename Sum>
std::vector<Sum> Multiplied(const Matrix& a, const Matrix& b, int k, std::vector<Sum> c) {
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) {
      double sum = c[row * 8 + column];
      for (int i = 0; i < k; ++i) sum += double{a.values[row * k + i]} * b.values[column * k + i];
      c[row * 8 + column] = static_cast<Sum>(sum);
    }
  }
  return c;
}

template <typename Sum>
void CheckProduct(const std::string& kernel, Kind kind, int k, int architecture) {
  const Matrix a = SomeMatrix(kind, 16, k, 1);
  const Matrix b = SomeMatrix(kind, 8, k, 2);
  std::vector<Sum> c(16 * 8);
  for (int i = 0; i < 16 * 8; ++i) c[i] = static_cast<Sum>(i * 7 % 50 - 20);
  const std::vector<Sum> want = Multiplied(a, b, k, c);
  Module module = LoadKernels("matrices", architecture);
  AddInput(module, a.bytes);
  AddInput(module, b.bytes);
  AddOutput(module, c);
  INFO(kernel << " for " << architecture);
  REQUIRE(module.Launch(kernel, {.block = {32}}, a.bytes.data(), b.bytes.data(), c.data()) ==
          absl::OkStatus());
  CHECK(c == want);
}

TEST_CASE("ldmatrix and mma give the product of matrices", "[ptx]") {
  for (int architecture : {80, 90, 120}) {
    CheckProduct<float>("Product<0, float>", Kind::kBf16, 16, architecture);
    CheckProduct<float>("Product<1, float>", Kind::kFp16, 16, architecture);
    CheckProduct<std::int32_t>("Product<2, int>", Kind::kInt8, 32, architecture);
  }
}

TEST_CASE("the mma of sm_75 gives the product of matrices", "[ptx]") {
  for (int architecture : kArchitectures) {
    CheckProduct<float>("SmallProduct", Kind::kFp16, 8, architecture);
  }
}

TEST_CASE("ldmatrix transposes", "[ptx]") {
  for (int architecture : kArchitectures) {
    Module module = LoadKernels("matrices", architecture);
    std::vector<std::uint16_t> a(64);
    std::vector<std::uint32_t> b(32);
    for (int i = 0; i < 64; ++i) a[i] = static_cast<std::uint16_t>(i * 1000);
    AddInput(module, a);
    AddOutput(module, b);
    REQUIRE(module.Launch("TransposeTile", {.block = {32}}, a.data(), b.data()) ==
            absl::OkStatus());
    for (int row = 0; row < 8; ++row) {
      for (int column = 0; column < 8; ++column) {
        const std::uint32_t pair = b[row * 4 + column / 2];
        REQUIRE((pair >> (column % 2 * 16) & 0xffff) == a[column * 8 + row]);
      }
    }
  }
}

TEST_CASE("mma with a part of a warp is an error", "[ptx]") {
  Module module = LoadKernels("matrices", 80);
  std::vector<std::uint32_t> a(64), b(32);
  std::vector<float> c(128);
  AddInput(module, a);
  AddInput(module, b);
  AddOutput(module, c);
  const absl::Status ran =
      module.Launch("SmallProduct", {.block = {16}}, a.data(), b.data(), c.data());
  CHECK(ran.message().find("needs all 32 lanes") != std::string::npos);
}

}  // namespace
}  // namespace fallow::ptx
