#include "kernels/attention/pass_rows.h"

namespace fallow {

std::vector<PassRow> PassRows(std::span<const SequenceRun> runs, Range rows) {
  std::vector<PassRow> list;
  for (const SequenceRun& run : runs) {
    const Range part = RowsOfRun(run, rows);
    for (std::int64_t i = part.begin; i < part.end; ++i) {
      list.push_back({run.first_row + i, run.position + i, run.pages});
    }
  }
  return list;
}

}  // namespace fallow
