// The CUDA kernels on this machine's first GPU: products of packed weights and attention over paged
// keys and values, beside what the device reaches at reading memory and on its tensor cores, by
// kernels that do nothing else. Medians; fixed seeds. Has not run on a GPU.
//
//   cuda_bench [--json] [--emulated]      emulated: tiny, to try the program; its figures mean
//   nothing
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/worker_pool.h"
#include "benchmarks/kernels/cuda_limits.h"
#include "kernels/cuda/backend.h"
#include "report.h"

namespace fallow {

#ifndef FALLOW_CUDA
const CudaLimits kGpuLimits = {};  // OpenGpu() has failed before they are asked for
#endif

namespace {

// What is measured: as large as models' blocks are, or small enough for the emulator.
struct Sizes {
  std::int64_t weight;         // rows and columns of a matrix
  std::int64_t beyond_caches;  // bytes
  std::int64_t many_rows;
  std::int64_t context;
  int turns;  // of tensor cores
  int passes;
};
constexpr Sizes kOfModels = {4096, 1 << 30, 512, 4096, 1 << 16, 9};
constexpr Sizes kTiny = {128, 64 << 10, 17, 40, 1, 1};

constexpr std::int64_t kFewRows = 8;
constexpr int kSequences = 8;
constexpr int kHeads = 32;
constexpr int kKvHeads = 8;
constexpr int kHeadDim = 128;
constexpr WeightType kTypes[] = {WeightType::kBf16, WeightType::kQ8, WeightType::kQ4_0,
                                 WeightType::kQ4_1, WeightType::kNl4};

void Require(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "cuda_bench: %s\n", status.ToString().c_str());
  std::exit(1);
}

template <typename T>
T Value(absl::StatusOr<T> result) {
  Require(result.status());
  return *std::move(result);
}

// A device, twice: once behind the back end that is measured.
struct Device {
  Backend& backend;
  cuda::Runtime& runtime;
  const CudaLimits& limits;
  const Sizes& sizes;
};

// The median seconds of `run`, which enqueues on the back end, after one that does not count.
template <typename Run>
double Time(const Device& device, Run run) {
  std::vector<double> times;
  for (int i = 0; i <= device.sizes.passes; ++i) {
    const double start = Now();
    run();
    Require(device.backend.Finish());
    if (i > 0) times.push_back(Now() - start);
  }
  return Median(times);
}

struct Limits {
  double read = 0;  // bytes a second
  double bf16 = 0;  // multiply-adds a second
  double int8 = 0;
};

Limits MeasureLimits(const Device& device) {
  const int blocks = device.runtime.multiprocessors() * 8;
  const std::int64_t threads = std::int64_t{blocks} * kLimitThreads;
  const std::int64_t bytes = device.sizes.beyond_caches;
  std::uint8_t* const memory = device.runtime.Allocate(bytes);
  std::uint8_t* const sink = device.runtime.Allocate(threads * std::int64_t{sizeof(unsigned)});
  Require(memory && sink ? device.runtime.Synchronize()
                         : absl::ResourceExhaustedError("no memory to read from"));
  auto* const sums = reinterpret_cast<unsigned*>(sink);
  const auto seconds = [&](auto launch) {
    std::vector<double> times;
    for (int i = 0; i <= device.sizes.passes; ++i) {
      const double start = Now();
      device.runtime.Note(launch(device.runtime.stream()));
      Require(device.runtime.Synchronize());
      if (i > 0) times.push_back(Now() - start);
    }
    return Median(times);
  };
  const double products = static_cast<double>(threads / 32) * device.sizes.turns * kChains;
  const Limits limits = {
      .read = static_cast<double>(bytes) / seconds([&](void* stream) {
                return device.limits.read(memory, bytes, sums, blocks, stream);
              }),
      .bf16 = 16 * 8 * 16 * products / seconds([&](void* stream) {
                return device.limits.bf16(device.sizes.turns, sums, blocks, stream);
              }),
      .int8 = 16 * 8 * 32 * products / seconds([&](void* stream) {
                return device.limits.int8(device.sizes.turns, sums, blocks, stream);
              })};
  device.runtime.Free(memory);
  device.runtime.Free(sink);
  return limits;
}

// Bytes that mean finite numbers in every type; what they are does not matter for speed, but zeros
// would spare power.
std::vector<std::uint8_t> FiniteBytes(std::int64_t count) {
  std::vector<std::uint8_t> bytes(count);
  std::uint32_t state = 1;
  for (std::int64_t i = 0; i < count; ++i) {
    state = state * 1664525 + 1013904223;
    const std::uint32_t mask = i % 2 == 1 ? 0x0f : 0xff;  // of a 16-bit number: no high exponent
    bytes[i] = static_cast<std::uint8_t>(state >> 24 & mask);
  }
  return bytes;
}

// As many copies of one matrix as no cache holds, and rows to multiply them with.
class Products {
 public:
  Products(const Device& device, WeightType type)
      : device_(device), n_(device.sizes.weight), panels_{.type = type, .rows = n_, .cols = n_} {
    Backend& backend = device.backend;
    copies_ = std::max<std::int64_t>(1, device.sizes.beyond_caches / panels_.bytes());
    weights_ = Value(backend.Allocate(copies_ * panels_.bytes()));
    const std::vector<std::uint8_t> bytes = FiniteBytes(panels_.bytes());
    backend.ToDevice(weights_->data(), bytes.data(), panels_.bytes());
    for (std::int64_t i = 1; i < copies_; ++i) {
      backend.Copy(weights_->data() + i * panels_.bytes(), weights_->data(), panels_.bytes());
    }
    const std::int64_t rows = device.sizes.many_rows;
    const Arithmetic arithmetic = IsQuantised(type) ? Arithmetic::kExact : Arithmetic::kBf16;
    activations_ = Value(backend.Allocate(ActivationsBytes(arithmetic, rows, n_)));
    x_ = ActivationsIn(activations_->data(), arithmetic, rows, n_);
    y_ = Value(backend.Allocate(rows * n_ * std::int64_t{sizeof(float)}));
    std::vector<float> values(rows * n_);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 31) - 15;
    backend.ToDevice(y_->data(), values.data(), y_->size());
    backend.ToActivations({.x = reinterpret_cast<const float*>(y_->data()),
                           .rows = rows,
                           .n = n_,
                           .stride = n_,
                           .out = x_});
    Require(backend.Finish());
  }

  // Seconds of a product with `rows` rows.
  double Seconds(std::int64_t rows) {
    const std::int64_t count = rows <= kFewRows ? copies_ : std::min<std::int64_t>(copies_, 8);
    const double all = Time(device_, [&] {
      for (std::int64_t i = 0; i < count; ++i) {
        MatmulArgs args{
            .weight = panels_, .x = x_, .y = reinterpret_cast<float*>(y_->data()), .stride = n_};
        args.weight.data = weights_->data() + i * panels_.bytes();
        args.x.rows = rows;
        device_.backend.Matmul({&args, 1});
      }
    });
    return all / static_cast<double>(count);
  }

  double bytes() const { return static_cast<double>(panels_.bytes()); }
  double multiply_adds(std::int64_t rows) const { return static_cast<double>(n_ * n_ * rows); }

 private:
  const Device& device_;
  const std::int64_t n_;
  Panels panels_;
  std::int64_t copies_;
  std::shared_ptr<Buffer> weights_, activations_, y_;
  Activations x_;
};

void MeasureProducts(const Report& report, const Device& device, const Limits& limits) {
  for (const WeightType type : kTypes) {
    Products products(device, type);
    const std::string n = std::to_string(device.sizes.weight);
    const std::string name = "product " + std::string(Name(type)) + " " + n + "x" + n + " m=";
    for (const std::int64_t rows : {std::int64_t{1}, kFewRows}) {
      report.Add({name + std::to_string(rows), products.bytes() / products.Seconds(rows) * 1e-9,
                  "GB/s", limits.read * 1e-9, "reading memory"});
    }
    const std::int64_t many = device.sizes.many_rows;
    const double rate = products.multiply_adds(many) / products.Seconds(many);
    const bool int8 = IsQuantised(type);
    report.Add({name + std::to_string(many), 2e-12 * rate, int8 ? "TOP/s" : "TFLOP/s",
                2e-12 * (int8 ? limits.int8 : limits.bf16), "tensor cores out of registers"});
  }
}

// Sequences of `context` positions in one block, whose last rows attend to all before them.
class Attention {
 public:
  Attention(const Device& device, KvFormat format)
      : device_(device), layout_{format, 1, kKvHeads, kHeadDim} {
    const std::int64_t context = device.sizes.context;
    const std::int64_t pages = (context + kPagePositions - 1) / kPagePositions;
    pool_ = Value(device.backend.Allocate(kSequences * pages * layout_.page_bytes()));
    const std::vector<std::uint8_t> bytes = FiniteBytes(layout_.page_bytes());
    for (std::int64_t page = 0; page < kSequences * pages; ++page) {
      pages_.push_back(static_cast<std::int32_t>(page));
      device.backend.ToDevice(pool_->data() + page * layout_.page_bytes(), bytes.data(),
                              layout_.page_bytes());
    }
    const std::int64_t rows = std::max<std::int64_t>(kSequences, device.sizes.many_rows);
    rows_ = Value(device.backend.Allocate(2 * rows * kRow * std::int64_t{sizeof(float)}));
    Require(device.backend.Finish());
  }

  // Seconds for the last `rows` positions of the first `sequences` sequences.
  double Seconds(int sequences, std::int64_t rows) {
    const std::int64_t context = device_.sizes.context;
    const std::int64_t pages = std::ssize(pages_) / kSequences;
    std::vector<SequenceRun> runs;
    for (int i = 0; i < sequences; ++i) {
      runs.push_back({i * rows, rows, context - rows, pages_.data() + i * pages});
    }
    const std::int64_t all = sequences * rows;
    auto* const query = reinterpret_cast<float*>(rows_->data());
    const auto enqueue = [&](std::int64_t) {
      device_.backend.Attention({.query = query,
                                 .query_stride = kRow,
                                 .out = query + all * kRow,
                                 .out_stride = kRow,
                                 .heads = kHeads,
                                 .scale = 0.088f,
                                 .runs = runs,
                                 .kv = {layout_, pool_->data(), 0}});
    };
    constexpr int kTimes = 10;
    const double seconds = Time(device_, [&] {
      for (int i = 0; i < kTimes; ++i) {
        device_.backend.RunPass({.runs = runs, .rows = all, .max_rows = all, .key = {rows}},
                                enqueue);
      }
    });
    return seconds / kTimes;
  }

  double bytes() const { return static_cast<double>(pool_->size()); }

 private:
  static constexpr std::int64_t kRow = kHeads * kHeadDim;

  const Device& device_;
  const KvLayout layout_;
  std::vector<std::int32_t> pages_;
  std::shared_ptr<Buffer> pool_, rows_;
};

void MeasureAttention(const Report& report, const Device& device, const Limits& limits) {
  for (const auto& [name, format] :
       {std::pair{"bf16", KvFormat::kBf16}, std::pair{"q8", KvFormat::kQ8}}) {
    Attention attention(device, format);
    const std::int64_t context = device.sizes.context;
    const std::string title =
        std::string("attention ") + name + " context " + std::to_string(context);
    report.Add({title + " of " + std::to_string(kSequences) + " sequences",
                attention.bytes() / attention.Seconds(kSequences, 1) * 1e-9, "GB/s",
                limits.read * 1e-9, "reading memory"});
    const std::int64_t rows = device.sizes.many_rows;
    const double seen = static_cast<double>(rows * (context - rows) + rows * (rows + 1) / 2);
    const double rate = 2 * seen * kHeads * kHeadDim / attention.Seconds(1, rows);
    report.Add({title + ", last " + std::to_string(rows) + " rows", 2e-12 * rate, "TFLOP/s",
                2e-12 * limits.bf16, "tensor cores out of registers, bf16"});
  }
}

int Main(const Report& report, bool emulated) {
  WorkerPool pool(1);
  const auto open = [&] {
    return emulated ? cuda::MakeEmulatedRuntime() : Value(cuda::OpenGpu(0));
  };
  const auto runtime = open();
  const auto backend = MakeCudaBackend(open(), pool);
  const Device device{*backend, *runtime, emulated ? kEmulatedLimits : kGpuLimits,
                      emulated ? kTiny : kOfModels};
  const Limits limits = MeasureLimits(device);
  MeasureProducts(report, device, limits);
  MeasureAttention(report, device, limits);
  return 0;
}

}  // namespace
}  // namespace fallow

int main(int count, char** arguments) {
  const auto given = [&](std::string_view option) {
    return std::find(arguments + 1, arguments + count, option) != arguments + count;
  };
  return fallow::Main(fallow::Report(given("--json")), given("--emulated"));
}
