#include "kernels/profile.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/monotonic_time.h"
#include "base/status_macros.h"
#include "kernels/limits/machine_limits.h"

namespace fallow {
namespace {

constexpr double kFloatBytes = sizeof(float);

double& ProductsOf(KernelWork& work, WeightType type) {
  return work.multiply_adds[static_cast<std::size_t>(type)];
}

double ActivationBytes(const Activations& x) {
  return static_cast<double>(ActivationsBytes(x.arithmetic, x.rows, x.k));
}

// Of kernels that only go through rows of n numbers: `inputs` and `outputs` of them as floats, and
// some as activations.
KernelWork RowWork(std::int64_t rows, std::int64_t n, int floats, double activation_bytes = 0) {
  const double numbers = static_cast<double>(rows) * static_cast<double>(n);
  return {.row_bytes = floats * kFloatBytes * numbers + activation_bytes};
}

WeightType KeyType(KvFormat format) {
  switch (format) {
    case KvFormat::kFp32:
      return WeightType::kFp32;
    case KvFormat::kBf16:
      return WeightType::kBf16;
    case KvFormat::kQ8:
      return WeightType::kQ8;
  }
  return WeightType::kFp32;
}

WeightType ValueType(KvFormat format) {
  return format == KvFormat::kBf16 ? WeightType::kBf16 : WeightType::kFp32;
}

std::string NameOf(std::span<const MatmulArgs> products) {
  std::int64_t rows = 0;
  bool alike = true;
  for (const MatmulArgs& product : products) {
    rows += product.weight.rows;
    alike = alike && product.weight.type == products.front().weight.type;
  }
  const Panels& first = products.front().weight;
  return absl::StrCat("matmul ", alike ? std::string(Name(first.type)) : "mixed", " ", rows, "x",
                      first.cols);
}

}  // namespace

KernelWork& KernelWork::operator+=(const KernelWork& other) {
  stored_bytes += other.stored_bytes;
  row_bytes += other.row_bytes;
  for (int i = 0; i < kNumWeightTypes; ++i) multiply_adds[i] += other.multiply_adds[i];
  return *this;
}

double KernelWork::all_multiply_adds() const {
  return std::accumulate(multiply_adds.begin(), multiply_adds.end(), 0.0);
}

KernelWork WorkOf(const MatmulArgs& args) {
  KernelWork work = RowWork(args.x.rows, args.weight.rows, 1, ActivationBytes(args.x));
  work.stored_bytes = static_cast<double>(args.weight.bytes());
  ProductsOf(work, args.weight.type) = static_cast<double>(args.x.rows) *
                                       static_cast<double>(args.weight.rows) *
                                       static_cast<double>(args.weight.cols);
  return work;
}

KernelWork WorkOf(const AttentionArgs& args) {
  const KvLayout& layout = args.kv.layout;
  KernelWork work;
  double read = 0;     // positions that some row sees
  double visible = 0;  // positions that each row sees, summed
  for (const SequenceRun& run : args.runs) {
    const Range first = VisiblePositions(run.position, args.window);
    read += static_cast<double>(run.position + run.rows - first.begin);
    for (std::int64_t i = 0; i < run.rows; ++i) {
      visible += static_cast<double>(VisiblePositions(run.position + i, args.window).size());
    }
    work += RowWork(run.rows, args.heads * layout.head_dim, 2);
  }
  work.stored_bytes = read * static_cast<double>(layout.block_bytes()) / kPagePositions;
  const double products = visible * args.heads * layout.head_dim;
  ProductsOf(work, KeyType(layout.format)) += products;
  ProductsOf(work, ValueType(layout.format)) += products;
  return work;
}

absl::StatusOr<KernelLimits> MeasureKernelLimits(WorkerPool& pool, std::string_view isa,
                                                 std::int64_t bytes) {
  constexpr int kReads = 15;
  constexpr std::int64_t kCachedBytes = 256 << 10;  // a thread
  constexpr std::int64_t kMostBytes = 1 << 30;      // no cache holds so many
  const auto best_rate = [&](std::int64_t size) -> absl::StatusOr<double> {
    FALLOW_ASSIGN_OR_RETURN(const auto limit, ReadLimit::Create(pool, size));
    double best = limit->Measure();
    for (int i = 0; i < kReads; ++i) best = std::min(best, limit->Measure());
    return static_cast<double>(size) / best;
  };
  KernelLimits limits;
  FALLOW_ASSIGN_OR_RETURN(limits.memory_bytes, best_rate(std::min(bytes, kMostBytes)));
  FALLOW_ASSIGN_OR_RETURN(limits.cache_bytes, best_rate(kCachedBytes * pool.size()));
  for (int i = 0; i < kNumWeightTypes; ++i) {
    limits.multiply_adds[i] = MeasureMultiplyAdds(pool, isa, static_cast<WeightType>(i));
  }
  return limits;
}

double LeastSeconds(const KernelWork& work, const KernelLimits& limits) {
  double products = 0;
  for (int i = 0; i < kNumWeightTypes; ++i)
    products += work.multiply_adds[i] / limits.multiply_adds[i];
  return std::max(
      {work.stored_bytes / limits.memory_bytes, work.row_bytes / limits.cache_bytes, products});
}

void KernelClock::Time(std::string_view kernel, const KernelWork& work,
                       absl::FunctionRef<void()> run) {
  const absl::Time start = MonotonicNow();
  run();
  const double seconds = absl::ToDoubleSeconds(MonotonicNow() - start);
  auto found = std::find_if(times_.begin(), times_.end(),
                            [&](const KernelTime& time) { return time.kernel == kernel; });
  if (found == times_.end()) {
    found = times_.insert(times_.end(), KernelTime{.kernel = std::string(kernel), .work = {}});
  }
  ++found->calls;
  found->seconds += seconds;
  found->work += work;
}

std::vector<KernelTime> KernelClock::Take() {
  std::vector<KernelTime> times = std::exchange(times_, {});
  std::sort(times.begin(), times.end(),
            [](const KernelTime& a, const KernelTime& b) { return a.seconds > b.seconds; });
  return times;
}

namespace {

class ProfilingBackend : public Backend {
 public:
  ProfilingBackend(std::unique_ptr<Backend> backend, KernelClock& clock)
      : backend_(std::move(backend)), clock_(clock) {}

  std::string name() const override { return backend_->name(); }
  std::int64_t memory_bytes() const override { return backend_->memory_bytes(); }
  bool unified() const override { return backend_->unified(); }
  void ToDevice(std::uint8_t* to, const void* from, std::int64_t bytes) override {
    backend_->ToDevice(to, from, bytes);
  }
  void ToHost(void* to, const std::uint8_t* from, std::int64_t bytes) override {
    backend_->ToHost(to, from, bytes);
  }
  void Copy(std::uint8_t* to, const std::uint8_t* from, std::int64_t bytes) override {
    backend_->Copy(to, from, bytes);
  }
  void Clear(std::uint8_t* at, std::int64_t bytes) override { backend_->Clear(at, bytes); }
  void RunPass(const Pass& pass, absl::FunctionRef<void(std::int64_t rows)> enqueue) override {
    backend_->RunPass(pass, enqueue);
  }
  absl::StatusOr<std::shared_ptr<Buffer>> Allocate(std::int64_t bytes) override {
    return backend_->Allocate(bytes);
  }
  absl::StatusOr<Weight> Pack(const WeightRows& rows) override { return backend_->Pack(rows); }
  std::string layout() const override { return backend_->layout(); }
  absl::Status PackTo(const WeightRows& rows, std::span<std::uint8_t> out) override {
    return backend_->PackTo(rows, out);
  }
  absl::StatusOr<Weight> Use(Panels packed, std::shared_ptr<Buffer> memory) override {
    return backend_->Use(packed, std::move(memory));
  }

  void ToActivations(const ActivationsArgs& args) override {
    Time("activations", RowWork(args.rows, args.n, 1, ActivationBytes(args.out)),
         [&] { backend_->ToActivations(args); });
  }
  void Round(const RoundArgs& args) override {
    Time("round", RowWork(args.rows, args.n, 2), [&] { backend_->Round(args); });
  }
  void Embed(const EmbedArgs& args) override {
    Time("embed", RowWork(args.rows, args.table.cols, 1), [&] { backend_->Embed(args); });
  }
  void Matmul(std::span<const MatmulArgs> products) override {
    KernelWork work;
    for (const MatmulArgs& product : products) work += WorkOf(product);
    Time(NameOf(products), work, [&] { backend_->Matmul(products); });
  }
  void Norm(const NormArgs& args) override {
    const int floats = args.values ? 2 : 1;
    Time("norm", RowWork(args.rows, args.n, floats, ActivationBytes(args.out)),
         [&] { backend_->Norm(args); });
  }
  void Rope(const RopeArgs& args) override {
    Time("rope", RowWork(args.rows, args.heads * args.dims, 2), [&] { backend_->Rope(args); });
  }
  void Append(const AppendArgs& args) override {
    std::int64_t rows = 0;
    for (const SequenceRun& run : args.runs) rows += run.rows;
    const KvLayout& layout = args.kv.layout;
    Time("append", RowWork(rows, layout.kv_heads * layout.head_dim, 2),
         [&] { backend_->Append(args); });
  }
  void Attention(const AttentionArgs& args) override {
    Time("attention", WorkOf(args), [&] { backend_->Attention(args); });
  }
  void Glu(const GluArgs& args) override {
    const int floats = args.up ? 2 : 1;
    Time("glu", RowWork(args.rows, args.n, floats, ActivationBytes(args.out)),
         [&] { backend_->Glu(args); });
  }
  void Shortlist(const ShortlistArgs& args) override {
    Time("shortlist", RowWork(args.rows, args.n, 1), [&] { backend_->Shortlist(args); });
  }

  absl::Status Finish() override {
    const absl::Status failed = std::exchange(failed_, absl::OkStatus());
    return failed.ok() ? backend_->Finish() : failed;
  }
  void Rest() override { backend_->Rest(); }

 private:
  void Time(std::string_view kernel, const KernelWork& work, absl::FunctionRef<void()> enqueue) {
    clock_.Time(kernel, work, [&] {
      enqueue();
      failed_.Update(backend_->Finish());
    });
  }

  const std::unique_ptr<Backend> backend_;
  KernelClock& clock_;
  absl::Status failed_;  // what Finish has yet to report
};

}  // namespace

std::unique_ptr<Backend> MakeProfilingBackend(std::unique_ptr<Backend> backend,
                                              KernelClock& clock) {
  return std::make_unique<ProfilingBackend>(std::move(backend), clock);
}

}  // namespace fallow
