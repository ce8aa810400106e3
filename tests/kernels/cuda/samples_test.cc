// That the emulator does what CUDA says, whatever the order in which threads run.

#include <catch2/catch_test_macros.hpp>

#include "base/worker_pool.h"
#include "kernels/cuda/emulator/findings.h"
#include "kernels/cuda/emulator/options.h"
#include "tests/kernels/cuda/sample_data.h"

namespace fallow::test {
namespace {

using cuda::emulator::Options;
using cuda::emulator::SetOptions;
using cuda::emulator::TakeFindings;

// Sets options for one test.
class Scoped {
 public:
  explicit Scoped(const Options& options) : before_(cuda::emulator::CurrentOptions()) {
    SetOptions(options);
  }
  ~Scoped() { SetOptions(before_); }

 private:
  const Options before_;
};

constexpr double kTolerance = 1e-5;  // rounding of fp32 sums of up to 512 numbers below 1

void CheckSamples() {
  CHECK(ErrorOfTiledProduct(Fault::kNone, {40, 50, 70}) < kTolerance);
  CHECK(ErrorOfTiledProduct(Fault::kNone, {1, 1, 1}) < kTolerance);
  CHECK(ErrorOfRowProduct(Fault::kNone, {1, 10, 512}) < kTolerance);
  CHECK(ErrorOfStreamedSum(Fault::kNone, {1, 128, 0}) < kTolerance);
  CHECK(ErrorOfStreamedSum(Fault::kNone, {22, 128, 0}) < kTolerance);
  CHECK(ErrorOfWarpReversal(Fault::kNone, {192, 0, 0}) == 0);
  CHECK(ErrorOfTensorProduct(Fault::kNone, {70, 90, 96}) < kTolerance);
  CHECK(ErrorOfTensorProduct(Fault::kNone, {64, 64, 32}, /*padded=*/false) < kTolerance);
  for (const auto& finding : TakeFindings()) {
    FAIL_CHECK(finding.kind << " " << finding.line << ": " << finding.text);
  }
}

TEST_CASE("samples compute what they should in order", "[cuda]") {
  for (const bool early_copies : {false, true}) {
    const Scoped scoped({.early_copies = early_copies});
    CheckSamples();
  }
}

TEST_CASE("samples compute what they should in any order", "[cuda]") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    const Scoped scoped(
        {.random_order = true, .seed = seed, .preempt_one_in = 50, .early_copies = seed % 2 == 0});
    CheckSamples();
  }
}

TEST_CASE("blocks may run side by side", "[cuda]") {
  WorkerPool pool(3);
  const Scoped scoped({.pool = &pool});
  CheckSamples();
  std::int32_t total = 5;
  AtomicSum(100, &total);
  CHECK(total == 5 + 6400 * 6399 / 2);
}

TEST_CASE("a product of bytes by the tensor cores is exact", "[cuda]") {
  Random random(1);
  std::vector<std::int8_t> a(16 * 32), b(8 * 32);
  for (auto& v : a) v = static_cast<std::int8_t>(random.Bits());
  for (auto& v : b) v = static_cast<std::int8_t>(random.Bits());
  std::vector<std::int32_t> d(16 * 8), want(16 * 8);
  for (int i = 0; i < 16 * 8 * 32; ++i) {
    want[i / 32] += a[i / 256 * 32 + i % 32] * b[i / 32 % 8 * 32 + i % 32];
  }
  ByteProduct(a.data(), b.data(), d.data());
  CHECK(d == want);
}

TEST_CASE("a product of halves by the tensor cores is near", "[cuda]") {
  Random random(2);
  std::vector<std::uint16_t> a, b;
  std::vector<float> a_floats, b_floats;
  for (int i = 0; i < 16 * 16; ++i) a.push_back(Fp16FromFloat(random.Next()));
  for (int i = 0; i < 8 * 16; ++i) b.push_back(Fp16FromFloat(random.Next()));
  for (const auto v : a) a_floats.push_back(FloatFromFp16(v));
  for (const auto v : b) b_floats.push_back(FloatFromFp16(v));
  std::vector<float> d(16 * 8);
  HalfProduct(a.data(), b.data(), d.data());
  CHECK(LargestError(d, ProductOf({16, 8, 16}, a_floats, b_floats, 16, 1)) < kTolerance);
}

TEST_CASE("intrinsics give what the programming guide says", "[cuda]") {
  std::vector<std::int32_t> x, out(kIntrinsics * 32);
  for (int lane = 0; lane < 32; ++lane) x.push_back(lane * 40503 % 32 * 77 - 99);
  Intrinsics(x.data(), out.data());
  std::int32_t ballot = 0, any = 0, all = 1;
  for (int lane = 0; lane < 32; ++lane) {
    ballot |= static_cast<std::int32_t>(std::uint32_t{x[lane] > 0} << lane);
    any |= x[lane] == 31;
    all &= x[lane] >= -100;
  }
  for (int lane = 0; lane < 32; ++lane) {
    CAPTURE(lane);
    const auto got = [&](int i) { return out[i * 32 + lane]; };
    CHECK(got(0) == x[5]);
    CHECK(got(1) == x[lane / 8 * 8 + (lane + 3) % 8]);
    CHECK(got(2) == x[lane % 16 < 3 ? lane : lane - 3]);
    CHECK(got(3) == x[lane + 5 < 32 ? lane + 5 : lane]);
    CHECK(got(4) == x[lane ^ 9]);
    CHECK(got(5) == ballot);
    CHECK(got(6) == any);
    CHECK(got(7) == all);
    std::int32_t dot = 7;
    std::uint32_t bytes = 0;
    for (int i = 0; i < 4; ++i) {
      const auto byte = [i](std::int32_t word) {
        return static_cast<std::int8_t>(word >> (8 * i));
      };
      dot += byte(x[lane]) * byte(x[lane] ^ 0x7f80ff01);
      bytes |= (x[lane] >> (4 * i) & 7) * 0x11u << (8 * i);
    }
    CHECK(got(8) == dot);
    CHECK(static_cast<std::uint32_t>(got(9)) == bytes);
  }
}

}  // namespace
}  // namespace fallow::test
