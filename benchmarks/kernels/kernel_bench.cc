// kernel_bench [instruction set]
//
// Products of packed weights with one row (decode) and with 128 (prefill), in the shapes of
// SmolLM2-135M, on one thread and on two. Decode is limited by memory, so beside it stands how fast
// the same threads read the same bytes in the same seconds; machines that are shared drift, so
// trust the ratio. Medians; fixed seeds.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "base/range.h"
#include "base/worker_pool.h"
#include "kernels/backend.h"

namespace fallow {
namespace {

struct Shape {
  const char* name;
  std::int64_t rows;
  std::int64_t cols;
};

constexpr Shape kShapes[] = {{"qkv", 960, 576},   {"out", 576, 576},    {"gate+up", 3072, 576},
                             {"down", 576, 1536}, {"head", 49152, 576}, {"4096", 4096, 4096}};

constexpr WeightType kTypes[] = {WeightType::kFp32, WeightType::kBf16, WeightType::kQ8,
                                 WeightType::kQ4_0, WeightType::kQ4_1, WeightType::kNl4};

constexpr std::int64_t kBeyondCaches = 400 << 20;  // bytes of weights that a pass goes through
constexpr int kPasses = 9;
constexpr int kPrefillRows = 128;

double Seconds() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

Arithmetic ArithmeticOf(WeightType type) {
  if (IsQuantised(type)) return Arithmetic::kExact;
  return type == WeightType::kBf16 ? Arithmetic::kBf16 : Arithmetic::kFp32;
}

// Bytes that mean finite numbers in every type; what they are does not matter for speed.
void FillPanels(Buffer& memory) {
  std::uint32_t state = 1;
  for (std::int64_t i = 0; i + 4 <= memory.size(); i += 4) {
    state = state * 1664525 + 1013904223;
    const std::uint32_t bits = state & 0x0fff0fff;
    std::memcpy(memory.data() + i, &bits, sizeof bits);
  }
}

// Four streams at a time: one does not keep the memory busy.
std::uint64_t ReadAll(const std::uint8_t* data, Range bytes) {
  constexpr int kStreams = 4;
  const std::int64_t stream = bytes.size() / (64 * kStreams) * 64;
  std::uint64_t sums[8] = {};
  for (std::int64_t i = 0; i < stream; i += 64) {
    for (int s = 0; s < kStreams; ++s) {
      std::uint64_t words[8];
      std::memcpy(words, data + bytes.begin + s * stream + i, sizeof words);
      for (int j = 0; j < 8; ++j) sums[j] ^= words[j];
    }
  }
  return std::accumulate(std::begin(sums), std::end(sums), std::uint64_t{0});
}

// Copies of one matrix, together larger than the caches, and rows to multiply them with.
class Bench {
 public:
  Bench(Backend& backend, WorkerPool& pool, WeightType type, const Shape& shape)
      : backend_(backend), pool_(pool), shape_(shape) {
    panels_ = {.type = type, .rows = shape.rows, .cols = shape.cols};
    copies_ = std::max<std::int64_t>(1, kBeyondCaches / panels_.bytes());
    weights_ = backend.Allocate(copies_ * panels_.bytes()).value();
    FillPanels(*weights_);
    const Arithmetic arithmetic = ArithmeticOf(type);
    memory_ = backend.Allocate(ActivationsBytes(arithmetic, kPrefillRows, shape.cols)).value();
    x_ = ActivationsIn(memory_->data(), arithmetic, kPrefillRows, shape.cols);
    std::vector<float> values(kPrefillRows * shape.cols);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 31) - 15;
    backend.ToActivations({.x = values.data(),
                           .rows = kPrefillRows,
                           .n = shape.cols,
                           .stride = shape.cols,
                           .out = x_});
    y_.resize(kPrefillRows * shape.rows);
  }

  std::int64_t copies() const { return copies_; }
  std::int64_t bytes() const { return copies_ * panels_.bytes(); }

  // Seconds to multiply `copies` copies with `rows` rows.
  double Multiply(std::int64_t copies, std::int64_t rows) {
    const double start = Seconds();
    for (std::int64_t i = 0; i < copies; ++i) {
      MatmulArgs args{.weight = panels_, .x = x_, .y = y_.data(), .stride = shape_.rows};
      args.weight.data = weights_->data() + i * panels_.bytes();
      args.x.rows = rows;
      backend_.Matmul({&args, 1});
    }
    return Seconds() - start;
  }

  // Seconds to read all copies, each split over the threads as a product's panels are.
  double Read() {
    const double start = Seconds();
    for (std::int64_t i = 0; i < copies_; ++i) {
      const std::uint8_t* copy = weights_->data() + i * panels_.bytes();
      pool_.Run([&](int worker) {
        const std::uint64_t sum = ReadAll(copy, PartOf(panels_.bytes(), worker, pool_.size()));
        if (worker == 0) checksum_ += sum;
      });
    }
    return Seconds() - start;
  }

  std::uint64_t checksum() const { return checksum_; }

 private:
  Backend& backend_;
  WorkerPool& pool_;
  Shape shape_;
  Panels panels_;
  std::int64_t copies_;
  std::shared_ptr<Buffer> weights_;
  std::shared_ptr<Buffer> memory_;
  Activations x_;
  std::vector<float> y_;
  std::uint64_t checksum_ = 0;
};

void Measure(const KernelTable& kernels, int threads, WeightType type, const Shape& shape) {
  WorkerPool pool(threads);
  const auto backend = MakeHostBackend(kernels, pool);
  Bench bench(*backend, pool, type, shape);
  const std::int64_t prefill_copies = std::max<std::int64_t>(1, bench.copies() / 64);
  std::vector<double> decode, eight, prefill, read;
  for (int pass = 0; pass < kPasses; ++pass) {
    read.push_back(bench.Read());
    decode.push_back(bench.Multiply(bench.copies(), 1));
    eight.push_back(bench.Multiply(bench.copies() / 4 + 1, 8));
    prefill.push_back(bench.Multiply(prefill_copies, kPrefillRows));
  }
  const double gigabytes = static_cast<double>(bench.bytes()) * 1e-9;
  const double operations = 2e-9 * static_cast<double>(shape.rows * shape.cols);
  const double decode_rate = gigabytes / Median(decode);
  const double read_rate = gigabytes / Median(read);
  const double eight_rate = operations * 8 * (bench.copies() / 4 + 1) / Median(eight);
  const double prefill_rate = operations * kPrefillRows * prefill_copies / Median(prefill);
  std::printf(
      "%-8s %d %-5s %-8s %8.1f us %6.1f GB/s of %6.1f = %4.2f   m=8 %7.1f   m=128 %7.1f GOP/s\n",
      kernels.name, threads, std::string(Name(type)).c_str(), shape.name,
      1e6 * Median(decode) / bench.copies(), decode_rate, read_rate, decode_rate / read_rate,
      eight_rate, prefill_rate);
  std::fflush(stdout);
}

int Main(const char* isa) {
  const KernelTable* kernels = ChooseCpuKernels(isa);
  if (!kernels) {
    std::fprintf(stderr, "kernel_bench: no instruction set '%s' here\n", isa);
    return 1;
  }
  std::printf("isa      T type  shape      m=1, median of %d      rate of reading the same bytes\n",
              kPasses);
  for (const int threads : {1, 2}) {
    for (const WeightType type : kTypes) {
      for (const Shape& shape : kShapes) Measure(*kernels, threads, type, shape);
    }
  }
  return 0;
}

}  // namespace
}  // namespace fallow

int main(int count, char** arguments) { return fallow::Main(count > 1 ? arguments[1] : nullptr); }
