#include "kernels/attention/attention.h"

#include <algorithm>

namespace fallow {
namespace {

std::int64_t TilesOf(const SequenceRun& run) {
  return (run.rows + kAttentionRows - 1) / kAttentionRows;
}

}  // namespace

std::int64_t AttentionItems(const AttentionArgs& args) {
  std::int64_t tiles = 0;
  for (const SequenceRun& run : args.runs) tiles += TilesOf(run);
  return tiles * args.kv.layout.kv_heads;
}

AttentionItem AttentionItemAt(const AttentionArgs& args, std::int64_t index) {
  const int kv_heads = args.kv.layout.kv_heads;
  std::int64_t tile = index / kv_heads;
  const SequenceRun* run = args.runs.data();
  for (; tile >= TilesOf(*run); ++run) tile -= TilesOf(*run);
  const std::int64_t first = tile * kAttentionRows;
  return {run,
          {first, std::min(first + kAttentionRows, run->rows)},
          static_cast<int>(index % kv_heads)};
}

Range VisiblePositions(std::int64_t position, int window) {
  const std::int64_t end = position + 1;
  return {window > 0 ? std::max<std::int64_t>(0, end - window) : 0, end};
}

}  // namespace fallow
