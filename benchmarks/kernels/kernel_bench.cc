// Products of packed weights with 1 row (decode), 8 and 128 (prefill), in the shapes of
// SmolLM2-135M, on one thread and on two. One row is limited by memory: beside it stands how fast
// the same threads read the same bytes in the same seconds. Many rows are limited by arithmetic:
// beside them stands how fast the same tiles are computed out of the nearest cache.
// Medians; fixed seeds.
//
//   kernel_bench [--json]      FALLOW_ISA chooses the instruction set
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/range.h"
#include "base/worker_pool.h"
#include "kernels/backend.h"
#include "kernels/limits/machine_limits.h"
#include "report.h"

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
    const double start = Now();
    for (std::int64_t i = 0; i < copies; ++i) {
      MatmulArgs args{.weight = panels_, .x = x_, .y = y_.data(), .stride = shape_.rows};
      args.weight.data = weights_->data() + i * panels_.bytes();
      args.x.rows = rows;
      backend_.Matmul({&args, 1});
    }
    return Now() - start;
  }

  // Seconds to read all copies, each split over the threads as a product's panels are.
  double Read() {
    const double start = Now();
    for (std::int64_t i = 0; i < copies_; ++i) {
      const std::uint8_t* copy = weights_->data() + i * panels_.bytes();
      pool_.Run([&](int worker) {
        const Range part = PartOf(panels_.bytes(), worker, pool_.size());
        const std::uint64_t sum = ReadAll(copy + part.begin, copy + part.end);
        if (worker == 0) checksum_ += sum;
      });
    }
    return Now() - start;
  }

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

void Measure(const Report& report, const KernelTable& kernels, WorkerPool& pool, WeightType type,
             double multiply_adds, const Shape& shape) {
  const auto backend = MakeHostBackend(kernels, pool);
  Bench bench(*backend, pool, type, shape);
  const std::int64_t eight_copies = bench.copies() / 4 + 1;
  const std::int64_t prefill_copies = bench.copies() / 64 + 1;
  std::vector<double> one, eight, prefill, read;
  for (int pass = 0; pass < kPasses; ++pass) {
    read.push_back(bench.Read());
    one.push_back(bench.Multiply(bench.copies(), 1));
    eight.push_back(bench.Multiply(eight_copies, 8));
    prefill.push_back(bench.Multiply(prefill_copies, kPrefillRows));
  }
  const double bytes = static_cast<double>(bench.bytes());
  const double products = static_cast<double>(shape.rows * shape.cols);  // a row
  const double read_rate = bytes / Median(read);
  const double eight_limit = std::min(
      multiply_adds, 8 * products * static_cast<double>(bench.copies()) / bytes * read_rate);
  const auto name = [&](const char* rows) {
    return std::string(kernels.name) + " " + std::to_string(pool.size()) + "T " +
           std::string(Name(type)) + " " + shape.name + " m=" + rows;
  };
  report.Add(
      {name("1"), bytes / Median(one) * 1e-9, "GB/s", read_rate * 1e-9, "reading the same bytes"});
  report.Add({name("8"), 8e-9 * products * static_cast<double>(eight_copies) / Median(eight),
              "GMAC/s", eight_limit * 1e-9, "reading once, or the tiles"});
  report.Add(
      {name("128"),
       kPrefillRows * 1e-9 * products * static_cast<double>(prefill_copies) / Median(prefill),
       "GMAC/s", multiply_adds * 1e-9, "the same tiles out of the cache"});
}

int Main(const Report& report) {
  const KernelTable* kernels = ChooseCpuKernels(std::getenv("FALLOW_ISA"));
  if (kernels == nullptr) {
    std::fprintf(stderr, "FALLOW_ISA is unknown or not granted by this machine\n");
    return 1;
  }
  for (const int threads : {1, 2}) {
    WorkerPool pool(threads);
    for (const WeightType type : kTypes) {
      const double multiply_adds = MeasureMultiplyAdds(pool, kernels->name, type);
      for (const Shape& shape : kShapes) {
        Measure(report, *kernels, pool, type, multiply_adds, shape);
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace fallow

int main(int count, char** arguments) {
  return fallow::Main(fallow::Report(count > 1 && std::string_view(arguments[1]) == "--json"));
}
