#include "kernels/matmul/panel.h"

#include <catch2/catch_test_macros.hpp>
#include <string>

#include "kernels/functions.h"
#include "tests/kernels/kernel_test.h"
#include "tests/kernels/weights.h"

namespace fallow::test {
namespace {

struct Shape {
  std::int64_t rows;
  std::int64_t cols;
};

constexpr Shape kShapes[] = {{1, 32}, {15, 64}, {16, 96}, {17, 160}, {40, 1536}, {3, 32}};

// A value of a row as its type's definition in numeric.h says.
float Defined(const WeightRows& weight, std::int64_t i) {
  if (weight.type == WeightType::kFp32) return weight.values[i];
  if (weight.type == WeightType::kBf16) return FloatFromBf16(weight.bf16[i]);
  const float scale = FloatFromFp16(weight.scale[i / kGroup]);
  const int code = weight.codes[i];
  switch (weight.type) {
    case WeightType::kQ8:
      return static_cast<float>(code - 128) * scale;
    case WeightType::kQ4_0:
      return static_cast<float>(code - 8) * scale;
    case WeightType::kNl4:
      return static_cast<float>(kNl4Codebook[code]) * scale;
    default:
      return std::fma(static_cast<float>(code), scale, FloatFromFp16(weight.minimum[i / kGroup]));
  }
}

TEST_CASE("a packed matrix unpacks to the values it was packed from", "[kernels][panel]") {
  for (const WeightType type : kWeightTypes) {
    for (const Shape& shape : kShapes) {
      CAPTURE(Name(type), shape.rows, shape.cols);
      Random random(shape.rows + shape.cols);
      const WeightRows weight = RandomWeights(type, shape.rows, shape.cols, random);
      const PackedWeight packed(weight);
      for (std::int64_t row = 0; row < shape.rows; ++row) {
        std::vector<float> got(shape.cols), want(shape.cols);
        UnpackRow(packed.panels(), row, got.data());
        for (std::int64_t k = 0; k < shape.cols; ++k)
          want[k] = Defined(weight, row * shape.cols + k);
        REQUIRE(SameBits(got, want));
      }
    }
  }
}

TEST_CASE("matrices of floats need not have whole groups", "[kernels][panel]") {
  for (const WeightType type : {WeightType::kFp32, WeightType::kBf16}) {
    Random random(7);
    const WeightRows weight = RandomWeights(type, 5, 33, random);
    const PackedWeight packed(weight);
    std::vector<float> got(33);
    UnpackRow(packed.panels(), 4, got.data());
    for (std::int64_t k = 0; k < 33; ++k) CHECK(got[k] == Defined(weight, 4 * 33 + k));
  }
}

TEST_CASE("panels have the documented size", "[kernels][panel]") {
  constexpr std::pair<WeightType, std::int64_t> kBytesPerK[] = {
      {WeightType::kFp32, 64}, {WeightType::kBf16, 32}, {WeightType::kQ8, 17},
      {WeightType::kQ4_0, 9},  {WeightType::kNl4, 9},   {WeightType::kQ4_1, 10}};
  for (const auto& [type, bytes] : kBytesPerK) {
    CAPTURE(Name(type));
    CHECK(PackedBytes(type, 16, 576) == 576 * bytes);
    CHECK(PackedBytes(type, 17, 544) == 2 * 576 * bytes);
    CHECK(PackedBytes(type, 0, 576) == 0);
  }
}

TEST_CASE("padding is zero, wherever a matrix is packed from", "[kernels][panel]") {
  Random random(1);
  for (const WeightType type : kWeightTypes) {
    const WeightRows weight = RandomWeights(type, 17, 96, random);
    const std::int64_t bytes = PackedBytes(type, 17, 96);
    std::vector<std::uint8_t> dirty(bytes, 0xff), clean(bytes, 0);
    PackPanels(weight, {0, 2}, dirty.data());
    PackPanels(weight, {1, 2}, clean.data());
    PackPanels(weight, {0, 1}, clean.data());
    CHECK(dirty == clean);
  }
}

TEST_CASE("embedding rows are rows of the table, scaled", "[kernels][embed]") {
  constexpr std::int32_t kIds[] = {0, 39, 16, 16, 1};
  for (const WeightType type : kWeightTypes) {
    CAPTURE(Name(type));
    Random random(3);
    const WeightRows weight = RandomWeights(type, 40, 160, random);
    const PackedWeight packed(weight);
    std::vector<float> want;
    for (const std::int32_t id : kIds) {
      for (std::int64_t k = 0; k < 160; ++k) want.push_back(Defined(weight, id * 160 + k) * 1.5f);
    }
    std::vector<const KernelTable*> tables(TestedKernels().begin(), TestedKernels().end());
    tables.push_back(&kExactKernels);
    for (const KernelTable* table : tables) {
      CAPTURE(table->name);
      std::vector<float> got(want.size());
      const EmbedArgs args{.table = packed.panels(),
                           .ids = kIds,
                           .rows = std::ssize(kIds),
                           .scale = 1.5f,
                           .out = got.data()};
      InPieces(args.rows, [&](Range rows) { table->embed(args, rows); });
      CHECK(SameBits(got, want));
      kReferenceKernels.embed(args, {0, args.rows});
      CHECK(LargestError(got, want) < 1e-6);  // one rounding instead of two
    }
  }
}

}  // namespace
}  // namespace fallow::test
