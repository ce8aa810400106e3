#include "kernels/attention/kv_page.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <vector>

#include "kernels/numeric.h"

namespace fallow::test {
namespace {

TEST_CASE("no two numbers of a page share a byte, and padding is left alone",
          "[kernels][attention]") {
  for (KvFormat format : {KvFormat::kFp32, KvFormat::kBf16, KvFormat::kQ8}) {
    for (int head_dim : {16, 64, 80, 128}) {
      CAPTURE(format, head_dim);
      const KvLayout layout{format, 1, 1, head_dim};
      const int bytes = format == KvFormat::kFp32 ? 4 : format == KvFormat::kBf16 ? 2 : 1;
      std::vector<int> used(layout.head_bytes());
      const auto use = [&](std::int64_t offset, int count) {
        REQUIRE(offset + count <= layout.head_bytes());
        for (int i = 0; i < count; ++i) ++used[offset + i];
      };
      for (int t = 0; t < kPagePositions; ++t) {
        for (int i = 0; i < layout.padded_dim(); ++i) {
          use(layout.key_offset(t, i), bytes);
          use(layout.value_offset(t, i), bytes);
        }
        for (int g = 0; format == KvFormat::kQ8 && g < layout.padded_dim() / kGroup; ++g) {
          use(layout.key_scale_offset(t, g), 2);
          use(layout.value_scale_offset(t, g), 2);
        }
      }
      CHECK(std::count(used.begin(), used.end(), 1) == layout.head_bytes());
      CHECK(layout.page_bytes() % 64 == 0);
    }
  }
}

TEST_CASE("a run's share of a pass's rows", "[kernels][attention]") {
  const SequenceRun run{.first_row = 10, .rows = 5};
  CHECK(RowsOfRun(run, {0, 100}) == Range{0, 5});
  CHECK(RowsOfRun(run, {12, 13}) == Range{2, 3});
  CHECK(RowsOfRun(run, {0, 11}) == Range{0, 1});
  CHECK(RowsOfRun(run, {14, 20}) == Range{4, 5});
  CHECK(RowsOfRun(run, {0, 10}).size() == 0);
  CHECK(RowsOfRun(run, {15, 20}).size() == 0);
}

}  // namespace
}  // namespace fallow::test
