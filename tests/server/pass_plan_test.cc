#include "server/pass_plan.h"

#include <numeric>

#include "catch2/catch_test_macros.hpp"
#include "server/limits.h"

namespace fallow {
namespace {

struct Case {
  const char* name;
  std::vector<std::int64_t> waiting;
  std::size_t first;
  std::vector<std::int64_t> taken;
};

TEST_CASE("a pass takes all decode rows and at most one chunk of prompts", "[server][pass]") {
  constexpr PassBounds kBounds{.rows = 16, .prefill_rows = 8};
  const Case cases[] = {
      {"nothing", {}, 0, {}},
      {"one row", {1}, 0, {1}},
      {"decode rows pass by a prompt", {100, 1, 1}, 0, {8, 1, 1}},
      {"a short prompt is taken whole", {5, 1}, 0, {5, 1}},
      {"prompts share the chunk", {5, 5, 5}, 0, {5, 3, 0}},
      {"the turn decides who is first", {5, 5, 5}, 2, {3, 0, 5}},
      {"sequences without rows take none", {0, 1, 0}, 1, {0, 1, 0}},
      {"decode rows leave room for a chunk",
       {9, 1, 1, 1, 1, 1, 1, 1, 1, 1},
       1,
       {8, 1, 1, 1, 1, 1, 1, 1, 1, 0}},
      {"without prompts they take all",
       std::vector<std::int64_t>(17, 1),
       16,
       {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1}},
  };
  for (const Case& test : cases) {
    CAPTURE(test.name);
    const std::vector<std::int64_t> taken = PlanPass(test.waiting, test.first, kBounds);
    CHECK(taken == test.taken);
    CHECK(std::accumulate(taken.begin(), taken.end(), std::int64_t{0}) <= kBounds.rows);
  }
}

TEST_CASE("decoding waits for as many rows of prompts as fit its patience", "[server][pass]") {
  struct Case {
    std::int64_t rows;
    absl::Duration elapsed;
    std::int64_t next;
  };
  for (const Case& c : {Case{128, kDecodersWait / 2, 128}, Case{128, 2 * kDecodersWait, 48},
                        Case{64, kDecodersWait / 2, 96}, Case{16, kDecodersWait / 2, 24},
                        Case{128, absl::Seconds(5), 16}, Case{2, absl::ZeroDuration(), 128}}) {
    CAPTURE(c.rows, absl::FormatDuration(c.elapsed));
    CHECK(PrefillRowsBesideDecoding(c.rows, c.elapsed) == c.next);
  }
}

}  // namespace
}  // namespace fallow
