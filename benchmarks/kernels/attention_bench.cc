// Attention over a cache of 30 blocks with 9 query and 3 key-value heads of 64 (SmolLM2-135M), on
// one thread: one row (decode) beside a plain read of the same keys and values, and the 128 rows of
// a prompt beside what products of floats reach.
//
//   attention_bench [--json]      FALLOW_ISA chooses the instruction set
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/worker_pool.h"
#include "kernels/kernel_table.h"
#include "kernels/limits/machine_limits.h"
#include "report.h"

namespace fallow {
namespace {

constexpr int kBlocks = 30;
constexpr int kHeads = 9;
constexpr int kKvHeads = 3;
constexpr int kHeadDim = 64;
constexpr int kRowSize = kHeads * kHeadDim;

// The median time of run(0), run(1), … in about half a second.
double Time(const std::function<void(int)>& run) {
  const double stop = Now() + 0.5;
  std::vector<double> times;
  for (int i = 0; times.size() < 31 || Now() < stop; ++i) {
    const double start = Now();
    run(i);
    times.push_back(Now() - start);
  }
  return Median(times);
}

// One sequence of `context` positions in every block.
class Cache {
 public:
  Cache(const KernelTable& kernels, KvFormat format, std::int64_t context)
      : context_(context), layout_{format, kBlocks, kKvHeads, kHeadDim} {
    const std::int64_t pages = (context + kPagePositions - 1) / kPagePositions;
    for (std::int32_t i = 0; i < pages; ++i) pages_.push_back(i);
    memory_.resize(pages * layout_.page_bytes() + 64);
    pool_ = memory_.data() + 64 - reinterpret_cast<std::uintptr_t>(memory_.data()) % 64;
    std::vector<float> row(context * kKvHeads * kHeadDim);
    for (std::size_t i = 0; i < row.size(); ++i) row[i] = std::sin(static_cast<float>(i));
    const SequenceRun run{0, context, 0, pages_.data()};
    for (int block = 0; block < kBlocks; ++block) {
      kernels.append({.key = row.data(),
                      .value = row.data(),
                      .stride = kKvHeads * kHeadDim,
                      .runs = {&run, 1},
                      .kv = view(block)},
                     {0, context});
    }
  }
  Cache(const Cache&) = delete;

  KvView view(int block) const { return {layout_, pool_, block}; }
  const std::int32_t* pages() const { return pages_.data(); }
  std::int64_t bytes() const {
    return static_cast<std::int64_t>(pages_.size()) * layout_.page_bytes();
  }
  std::int64_t block_bytes() const { return bytes() / kBlocks; }

  // Reads as much as one block's keys and values, another part each time.
  std::uint64_t ReadPart(int i) const {
    const std::uint8_t* begin = pool_ + i % kBlocks * block_bytes();
    return ReadAll(begin, begin + block_bytes());
  }

 private:
  std::int64_t context_;
  KvLayout layout_;
  std::vector<std::int32_t> pages_;
  std::vector<std::uint8_t> memory_;
  std::uint8_t* pool_;
};

// The last `rows` positions of the sequence attend to it, in one block after the other.
double TimeAttention(const KernelTable& kernels, const Cache& cache, std::int64_t context,
                     std::int64_t rows) {
  std::vector<float> query(rows * kRowSize, 0.1f);
  std::vector<float> out(rows * kRowSize);
  const SequenceRun run{0, rows, context - rows, cache.pages()};
  AttentionArgs args{.query = query.data(),
                     .query_stride = kRowSize,
                     .out = out.data(),
                     .out_stride = kRowSize,
                     .heads = kHeads,
                     .scale = 0.125f,
                     .runs = {&run, 1}};
  return Time([&](int i) {
    args.kv = cache.view(i % kBlocks);
    kernels.attention(args, {0, AttentionItems(args)});
  });
}

std::string Title(const KernelTable& kernels, const char* format) {
  return std::string(kernels.name) + " 1T attention " + format + " ";
}

void Decode(const Report& report, const KernelTable& kernels, const char* name, KvFormat format) {
  volatile std::uint64_t sink = 0;
  for (const std::int64_t context : {32, 128, 512, 2048, 8192}) {
    const Cache cache(kernels, format, context);
    const double gigabytes = static_cast<double>(cache.block_bytes()) * 1e-9;
    const double read = Time([&](int i) { sink = cache.ReadPart(i); });
    const double time = TimeAttention(kernels, cache, context, 1);
    report.Add({Title(kernels, name) + "decode context " + std::to_string(context),
                gigabytes / time, "GB/s", gigabytes / read, "reading the same bytes"});
  }
}

void Prefill(const Report& report, const KernelTable& kernels, const char* name, KvFormat format) {
  constexpr std::int64_t kRows = 128;
  WorkerPool pool(1);
  const double multiply_adds = MeasureMultiplyAdds(pool, kernels.name, WeightType::kFp32);
  for (const std::int64_t context : {128, 2048}) {
    const Cache cache(kernels, format, context);
    const double time = TimeAttention(kernels, cache, context, kRows);
    const double seen = static_cast<double>(kRows * (context - kRows) + kRows * (kRows + 1) / 2);
    const double products = seen * kHeads * kHeadDim * 2;  // with keys, and with values
    report.Add({Title(kernels, name) + "prefill context " + std::to_string(context),
                products / time * 1e-9, "GMAC/s", multiply_adds * 1e-9,
                "fp32 products out of the cache"});
  }
}

int Main(const Report& report) {
  const KernelTable* kernels = ChooseCpuKernels(std::getenv("FALLOW_ISA"));
  if (kernels == nullptr) {
    std::fprintf(stderr, "FALLOW_ISA is unknown or not granted by this machine\n");
    return 1;
  }
  const std::pair<const char*, KvFormat> kFormats[] = {
      {"q8", KvFormat::kQ8}, {"bf16", KvFormat::kBf16}, {"fp32", KvFormat::kFp32}};
  for (const auto& [name, format] : kFormats) {
    Decode(report, *kernels, name, format);
    Prefill(report, *kernels, name, format);
  }
  return 0;
}

}  // namespace
}  // namespace fallow

int main(int count, char** arguments) {
  return fallow::Main(fallow::Report(count > 1 && std::string_view(arguments[1]) == "--json"));
}
