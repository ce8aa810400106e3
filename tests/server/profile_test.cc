#include "fallow/profile.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <string>

#include "tests/model/golden_files.h"

namespace fallow {
namespace {

// Calls of the kernels whose names begin so; 0 if there are none.
std::int64_t Calls(const PhaseProfile& phase, const std::string& name) {
  std::int64_t calls = 0;
  for (const KernelProfile& kernel : phase.kernels) {
    if (kernel.kernel.starts_with(name)) calls += kernel.calls;
  }
  return calls;
}

TEST_CASE("a profile has every kernel of prompt and new tokens", "[server][profile]") {
  const Golden golden = GoldenNamed("gguf-Q4_1");
  const auto profile = ProfileModel(
      {.checkpoint = golden.path, .threads = 2, .prompt_tokens = 150, .new_tokens = 5});
  REQUIRE(profile.ok());
  CHECK(profile->numeric_class == "exact-1");
  CHECK(profile->threads == 2);
  const std::int64_t blocks = Calls(profile->decode, "attention") / 5;
  CHECK(blocks > 0);
  CHECK(Calls(profile->prefill, "attention") == 2 * blocks);  // in passes of 128 and 22
  CHECK(Calls(profile->prefill, "matmul") == 2 * 4 * blocks + 1);
  CHECK(Calls(profile->decode, "matmul") == 5 * (4 * blocks + 1));
  for (const PhaseProfile* phase : {&profile->prefill, &profile->decode}) {
    double seconds = 0;
    for (const KernelProfile& kernel : phase->kernels) {
      CAPTURE(kernel.kernel);
      CHECK(kernel.seconds > 0);
      CHECK(kernel.bytes > 0);
      CHECK(kernel.least_seconds > 0);
      seconds += kernel.seconds;
    }
    CHECK(seconds < phase->seconds);
    CHECK(Calls(*phase, "sample") == (phase == &profile->decode ? 5 : 1));
    CHECK(std::is_sorted(phase->kernels.begin(), phase->kernels.end(),
                         [](const auto& a, const auto& b) { return a.seconds > b.seconds; }));
  }
}

TEST_CASE("a profile of some blocks has neither embedding nor head", "[server][profile]") {
  const auto profile = ProfileModel({.checkpoint = GoldenNamed("llama").path,
                                     .blocks = {1, 3},
                                     .numeric_class = "fp32",
                                     .prompt_tokens = 3,
                                     .new_tokens = 2});
  REQUIRE(profile.ok());
  CHECK(Calls(profile->decode, "attention") == 2 * 2);
  CHECK(Calls(profile->decode, "matmul fp32") == 2 * 2 * 4);
  CHECK(Calls(profile->decode, "sample") == 0);
  CHECK(Calls(profile->decode, "embed") == 0);
}

TEST_CASE("a profile refuses what cannot be run", "[server][profile]") {
  const std::string path = GoldenNamed("llama").path;
  CHECK(absl::IsInvalidArgument(ProfileModel({.checkpoint = path, .prompt_tokens = 0}).status()));
  CHECK(absl::IsInvalidArgument(ProfileModel({.checkpoint = path, .new_tokens = 0}).status()));
  CHECK(absl::IsInvalidArgument(
      ProfileModel({.checkpoint = path, .prompt_tokens = 1 << 30}).status()));
  CHECK(absl::IsInvalidArgument(ProfileModel({.checkpoint = path, .blocks = {2, 99}}).status()));
}

}  // namespace
}  // namespace fallow
