// A pass as a device reads it: a list of its rows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/range.h"
#include "kernels/attention/kv_page.h"

namespace fallow {

struct PassRow {
  std::int64_t row = 0;                 // of the pass
  std::int64_t position = 0;            // in its sequence
  const std::int32_t* pages = nullptr;  // page ids of positions [0, position]; null: an idle row
};

// Those of `rows` that belong to a run, in order of runs.
std::vector<PassRow> PassRows(std::span<const SequenceRun> runs, Range rows);

// The rows of a pass in device memory.
struct DeviceRows {
  const PassRow* rows = nullptr;
  std::int64_t count = 0;
  int chunks = 0;            // of 128 positions, the most that one of the rows sees
  float* scratch = nullptr;  // [count, heads, chunks, head_dim + 2] for blocks that share a row by
                             // chunks; null: a block takes all chunks of a row
};

}  // namespace fallow
