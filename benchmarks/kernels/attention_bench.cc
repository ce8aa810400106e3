// Attention over a cache of 30 blocks with 9 query and 3 key-value heads of 64 (SmolLM2-135M), on
// one thread: bytes of keys and values a second beside what a plain read of the same memory
// reaches, and operations a second of a prompt's 128 rows.
//
//   FALLOW_ISA=avx2 attention_bench      (without FALLOW_ISA: the fastest)
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

#include "kernels/kernel_table.h"

namespace fallow {
namespace {

constexpr int kBlocks = 30;
constexpr int kHeads = 9;
constexpr int kKvHeads = 3;
constexpr int kHeadDim = 64;
constexpr int kRowSize = kHeads * kHeadDim;

struct Seconds {
  double best;
  double median;
  double spread;  // of the middle half, relative to the median
};

// Times run(0), run(1), … for about half a second.
Seconds Time(const std::function<void(int)>& run) {
  using Clock = std::chrono::steady_clock;
  const auto stop = Clock::now() + std::chrono::milliseconds(500);
  std::vector<double> times;
  for (int i = 0; times.size() < 30 || Clock::now() < stop; ++i) {
    const auto start = Clock::now();
    run(i);
    times.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  std::sort(times.begin(), times.end());
  const std::size_t n = times.size();
  return {times[0], times[n / 2], (times[n * 3 / 4] - times[n / 4]) / times[n / 2]};
}

// Sums all words, so that a compiler cannot leave the reading out.
std::uint64_t Read(const std::uint8_t* bytes, std::int64_t count) {
  std::uint64_t sum[8] = {};
  for (std::int64_t i = 0; i + 64 <= count; i += 64) {
    std::uint64_t words[8];
    std::memcpy(words, bytes + i, sizeof words);
    for (int j = 0; j < 8; ++j) sum[j] += words[j];
  }
  return sum[0] ^ sum[1] ^ sum[2] ^ sum[3] ^ sum[4] ^ sum[5] ^ sum[6] ^ sum[7];
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
    return Read(pool_ + i % kBlocks * block_bytes(), block_bytes());
  }

 private:
  std::int64_t context_;
  KvLayout layout_;
  std::vector<std::int32_t> pages_;
  std::vector<std::uint8_t> memory_;
  std::uint8_t* pool_;
};

// The last `rows` positions of the sequence attend to it, in one block after the other.
Seconds TimeAttention(const KernelTable& kernels, const Cache& cache, std::int64_t context,
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

void Decode(const KernelTable& kernels, const char* name, KvFormat format) {
  std::uint64_t sink = 0;
  for (std::int64_t context : {32, 128, 512, 2048, 8192}) {
    const Cache cache(kernels, format, context);
    const auto bytes = static_cast<double>(cache.block_bytes());
    const Seconds read = Time([&](int i) { sink ^= cache.ReadPart(i); });
    const Seconds time = TimeAttention(kernels, cache, context, 1);
    std::printf("%-4s decode  context %4d  %8.2f us  %5.1f GB/s (best %5.1f) of %5.1f  ±%.0f %%\n",
                name, static_cast<int>(context), time.median * 1e6, bytes / time.median * 1e-9,
                bytes / time.best * 1e-9, bytes / read.median * 1e-9, time.spread * 100);
  }
  if (sink == 1) std::puts("");
}

void Prefill(const KernelTable& kernels, const char* name, KvFormat format) {
  constexpr std::int64_t kRows = 128;
  for (std::int64_t context : {128, 2048}) {
    const Cache cache(kernels, format, context);
    const Seconds time = TimeAttention(kernels, cache, context, kRows);
    const double seen = static_cast<double>(kRows * (context - kRows) + kRows * (kRows + 1) / 2);
    const double operations = seen * kHeads * kHeadDim * 4;  // multiply and add, keys and values
    std::printf("%-4s prefill context %4d  %8.0f us  %5.0f GFLOP/s (best %.0f)  ±%.0f %%\n", name,
                static_cast<int>(context), time.median * 1e6, operations / time.median * 1e-9,
                operations / time.best * 1e-9, time.spread * 100);
  }
}

int Main() {
  const KernelTable* kernels = ChooseCpuKernels(std::getenv("FALLOW_ISA"));
  if (kernels == nullptr) {
    std::fprintf(stderr, "FALLOW_ISA is unknown or not granted by this machine\n");
    return 1;
  }
  std::printf("%s, one thread\n", kernels->name);
  const std::pair<const char*, KvFormat> kFormats[] = {
      {"q8", KvFormat::kQ8}, {"bf16", KvFormat::kBf16}, {"fp32", KvFormat::kFp32}};
  for (const auto& [name, format] : kFormats) {
    Decode(*kernels, name, format);
    Prefill(*kernels, name, format);
  }
  return 0;
}

}  // namespace
}  // namespace fallow

int main() { return fallow::Main(); }
