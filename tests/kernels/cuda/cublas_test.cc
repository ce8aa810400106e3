// Products by cuBLAS, on a stand-in that checks and computes what cuBLAS is told.
#include "kernels/cuda/cublas.h"

#include <catch2/catch_test_macros.hpp>
#include <utility>
#include <vector>

#include "kernels/cuda/backend.h"
#include "tests/kernels/weights.h"

namespace fallow::test {
namespace {

using cuda::CublasFunctions;
using cuda::kEmulatedCublas;

int calls = 0;

// kEmulatedCublas, whose products are counted.
template <class... Arguments>
int Counted(Arguments... arguments) {
  ++calls;
  return kEmulatedCublas.gemm(arguments...);
}

CublasFunctions Counting() {
  CublasFunctions functions = kEmulatedCublas;
  functions.gemm = Counted;
  return functions;
}

struct Case {
  std::int64_t m, n, k;
  bool add = false;
  bool bias = false;
  int calls = 1;
};

// Whole panels, a ragged last one, less than one; what a few rows or a bias leave to the kernels.
constexpr Case kCases[] = {
    {17, 16, 64},
    {17, 64, 96, true},
    {40, 5, 32},
    {33, 40, 544, true, false, 2},
    {130, 83, 160, false, false, 2},
    {16, 64, 96, false, false, 0},
    {33, 40, 96, true, true, 0},
};

std::vector<float> OnDevice(Backend& backend, const WeightRows& rows, const std::vector<float>& x,
                            const MatmulArgs& args, std::vector<float> y) {
  const auto to_device = [&](const void* from, std::size_t count) {
    auto buffer = backend.Allocate(static_cast<std::int64_t>(count * sizeof(float))).value();
    backend.ToDevice(buffer->data(), from, buffer->size());
    return buffer;
  };
  const Weight weight = backend.Pack(rows).value();
  const auto x_memory = to_device(x.data(), x.size());
  const auto y_memory = to_device(y.data(), y.size());
  MatmulArgs there = args;
  there.weight = weight.panels;
  there.x.values = reinterpret_cast<float*>(x_memory->data());
  there.y = reinterpret_cast<float*>(y_memory->data());
  std::shared_ptr<Buffer> bias;
  if (args.bias) {
    bias = to_device(args.bias, static_cast<std::size_t>(rows.rows));
    there.bias = reinterpret_cast<const float*>(bias->data());
  }
  backend.Matmul({&there, 1});
  backend.ToHost(y.data(), y_memory->data(), y_memory->size());
  REQUIRE(backend.Finish().ok());
  return y;
}

TEST_CASE("cuBLAS is told the products of fp32 weights with many rows", "[cuda][cublas]") {
  WorkerPool pool(1);
  const CublasFunctions counting = Counting();
  for (const Case& c : kCases) {
    CAPTURE(c.m, c.n, c.k, c.add, c.bias);
    Random random(c.m + c.n + c.k);
    const WeightRows rows = RandomWeights(WeightType::kFp32, c.n, c.k, random);
    const PackedWeight packed(rows);
    const std::int64_t stride = c.n + 3;
    std::vector<float> x = random.Many(c.m * PaddedK(c.k));
    for (std::int64_t i = 0; i < std::ssize(x); ++i) {
      if (i % PaddedK(c.k) >= c.k) x[i] = 0;
    }
    std::vector<float> expected = random.Many(c.m * stride);
    const std::vector<float> bias = random.Many(c.n);
    const std::vector<float> before = expected;
    const MatmulArgs args = {.weight = packed.panels(),
                             .x = {.rows = c.m, .k = PaddedK(c.k), .values = x.data()},
                             .y = expected.data(),
                             .stride = stride,
                             .bias = c.bias ? bias.data() : nullptr,
                             .add = c.add};
    kReferenceKernels.matmul(args, {0, packed.panels().count()});
    for (const CublasFunctions* cublas :
         {&counting, static_cast<const CublasFunctions*>(nullptr)}) {
      calls = 0;
      const auto backend = MakeCudaBackend(cuda::MakeEmulatedRuntime(cublas), pool);
      CHECK(LargestError(OnDevice(*backend, rows, x, args, before), expected) < 1e-5);
      CHECK(calls == (cublas ? c.calls : 0));
    }
  }
}

// A product of cuBLAS's of a [2, 3] and b [3, 4], each down its columns.
struct Product {
  int transpose_a = 0, transpose_b = 0, m = 2, n = 4, k = 3, lda = 2, ldb = 3, ldc = 2, type = 0,
      compute_type = 68;

  int Status() const {
    const auto runtime = cuda::MakeEmulatedRuntime(nullptr);
    void* handle = nullptr;
    REQUIRE(kEmulatedCublas.create(&handle) == 0);
    REQUIRE(kEmulatedCublas.set_stream(handle, runtime->stream()) == 0);
    const float one = 1;
    auto* numbers = reinterpret_cast<float*>(runtime->Allocate(1024));
    const int status = kEmulatedCublas.gemm(handle, transpose_a, transpose_b, m, n, k, &one,
                                            numbers, type, lda, 6, numbers + 64, 0, ldb, 12, &one,
                                            numbers + 128, 0, ldc, 8, 1, compute_type, -1);
    CHECK(runtime->Synchronize().ok());
    runtime->Free(reinterpret_cast<std::uint8_t*>(numbers));
    kEmulatedCublas.destroy(handle);
    return status;
  }
};

TEST_CASE("the stand-in refuses what cuBLAS refuses", "[cuda][cublas]") {
  constexpr int kInvalidValue = 7, kNotSupported = 15;
  CHECK(Product{}.Status() == 0);
  CHECK(Product{.lda = 1}.Status() == kInvalidValue);
  CHECK(Product{.ldb = 2}.Status() == kInvalidValue);
  CHECK(Product{.ldc = 1}.Status() == kInvalidValue);
  CHECK(Product{.transpose_a = 1, .lda = 2}.Status() == kInvalidValue);
  CHECK(Product{.transpose_a = 1, .lda = 3}.Status() == 0);
  CHECK(Product{.transpose_b = 1, .ldb = 3}.Status() == kInvalidValue);
  CHECK(Product{.transpose_b = 1, .ldb = 4}.Status() == 0);
  CHECK(Product{.transpose_a = 2}.Status() == kInvalidValue);
  CHECK(Product{.m = -1}.Status() == kInvalidValue);
  CHECK(Product{.type = 2}.Status() == kNotSupported);
  CHECK(Product{.compute_type = 64}.Status() == kNotSupported);
}

TEST_CASE("a library that is not cuBLAS is refused by name", "[cuda][cublas]") {
  const std::string none[] = {"libno_such_library.so"}, other[] = {none[0], "libc.so.6"};
  const absl::Status absent = cuda::LoadCublas(none).status();
  CHECK(absl::IsNotFound(absent));
  CHECK(absent.message().find(none[0]) != absl::string_view::npos);
  const absl::Status wrong = cuda::LoadCublas(other).status();
  CHECK(absl::IsFailedPrecondition(wrong));
  CHECK(wrong.message().find("cublasCreate_v2") != absl::string_view::npos);
}

}  // namespace
}  // namespace fallow::test
