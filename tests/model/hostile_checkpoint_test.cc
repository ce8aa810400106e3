// Checkpoints that were damaged or made to harm: each must end in a clear error.

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "catch2/catch_test_macros.hpp"
#include "catch2/generators/catch_generators.hpp"
#include "model/checked_json.h"
#include "model/gguf.h"
#include "model/safetensors.h"
#include "tests/model/files.h"

namespace fallow {
namespace {

bool Says(const absl::Status& status, const std::string& text) {
  return std::string(status.message()).find(text) != std::string::npos;
}

TEST_CASE("a damaged safetensors header is told with its file and tensor", "[model][hostile]") {
  struct Case {
    const char* header;
    std::size_t data;
    const char* says;
  };
  const Case row = GENERATE(
      Case{"[1]", 0, "not a JSON object"}, Case{"{\"a\": ", 0, "not a JSON object"},
      Case{R"({"a": 3})", 0, "tensor a: entry is not an object"},
      Case{R"({"a": {"shape": [1], "data_offsets": [0, 4]}})", 4, "tensor a: no dtype"},
      Case{R"({"a": {"dtype": "F32", "data_offsets": [0, 4]}})", 4, "tensor a: no shape"},
      Case{R"({"a": {"dtype": "F32", "shape": [1.5], "data_offsets": [0, 4]}})", 4, "1.5"},
      Case{R"({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}})", 4, "absurd"},
      Case{R"({"a": {"dtype": "F32", "shape": [4294967296, 4294967296, 4294967296],
               "data_offsets": [0, 4]}})",
           4, "absurd"},
      Case{R"({"a": {"dtype": "F32", "shape": [18446744073709551615], "data_offsets": [0, 4]}})", 4,
           "expected integers"},
      Case{R"({"a": {"dtype": "F32", "shape": [4611686018427387904, 2], "data_offsets": [0, 0]}})",
           0, "absurd"},
      Case{R"({"a": {"dtype": "F32", "shape": [1]}})", 4, "no data_offsets"},
      Case{R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}})", 4, "begin <= end"},
      Case{R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}})", 4, "begin <= end"},
      Case{R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}})", 4,
           "expected 8 bytes for F32"},
      Case{R"({"a": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 4]}})", 4,
           "expected 2 bytes for BF16"},
      Case{R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})", 4,
           "ends at offset 8"},
      Case{R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
               "b": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}})",
           8, "tensor b: begins at offset 4, expected 8"},
      Case{R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}})", 8,
           "begins at offset 4, expected 0"},
      Case{R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})", 8,
           "8 bytes after the header, expected 4"},
      Case{R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
               "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})",
           4, "key \"a\" twice"},
      Case{R"({"a": {"dtype": "XX", "shape": [1],
               "data_offsets": [9223372036854775806, 9223372036854775807]}})",
           4, "begins at offset 9223372036854775806"});
  CAPTURE(row.header);
  const auto entries = ParseSafetensors(Safetensors(row.header, row.data), "file.safetensors");
  REQUIRE(absl::IsDataLoss(entries.status()));
  INFO(std::string(entries.status().message()));
  CHECK(Says(entries.status(), row.says));
  CHECK(Says(entries.status(), "file.safetensors"));
}

TEST_CASE("a header longer than the file or the format's limit is refused", "[model][hostile]") {
  for (const std::uint64_t length :
       {std::uint64_t{3}, std::uint64_t{100'000'001}, ~std::uint64_t{0}, ~std::uint64_t{0} - 7}) {
    CAPTURE(length);
    Bytes file = Safetensors("{}", 0);
    std::memcpy(file.data(), &length, sizeof(length));
    const auto entries = ParseSafetensors(file, "file");
    REQUIRE(absl::IsDataLoss(entries.status()));
    CHECK(Says(entries.status(), "expected at most 2"));
  }
}

TEST_CASE("deeply nested JSON is refused", "[model][hostile]") {
  const auto nested = [](int depth) {
    return "{\"a\":" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  CHECK(ParseJsonObject(nested(kMaxJsonDepth - 1), "file").ok());
  for (const int depth : {kMaxJsonDepth, kMaxJsonDepth + 1, 1'000'000}) {
    const auto parsed = ParseJsonObject(nested(depth), "file");
    CHECK(absl::IsDataLoss(parsed.status()));
    CHECK(Says(parsed.status(), "nested deeper"));
  }
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  CHECK(absl::IsDataLoss(ParseJsonObject(objects, "file").status()));
}

TEST_CASE("a repeated key is found at any depth, an equal key elsewhere is not",
          "[model][hostile]") {
  CHECK(ParseJsonObject(R"({"a": {"x": 1}, "b": {"x": 1, "a": [{"x": 1}, {"x": 2}]}})", "f").ok());
  CHECK_FALSE(ParseJsonObject(R"({"a": {"x": 1, "y": [{"x": 1}], "x": 2}})", "f").ok());
}

TEST_CASE("a truncated safetensors file is refused wherever it ends", "[model][hostile]") {
  const Bytes whole = ReadBytes(GoldenPath("llama-rope-linear/model.safetensors"));
  REQUIRE(ParseSafetensors(whole, "file").ok());
  for (std::size_t size = 0; size < whole.size(); size += 8) {
    const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    if (!absl::IsDataLoss(ParseSafetensors(part, "file").status())) FAIL("accepted at " << size);
  }
}

TEST_CASE("a truncated GGUF file is refused wherever it ends", "[model][hostile]") {
  const Bytes whole = ReadBytes(GoldenPath("gguf-Q4_1/model.gguf"));
  const auto contents = ParseGguf(whole, "file");
  REQUIRE(contents.ok());
  std::size_t needed = 0;  // padding may follow
  for (const auto& tensor : contents->tensors) {
    const std::span<const std::uint8_t> bytes = tensor.second.bytes;
    needed = std::max<std::size_t>(needed, bytes.data() + bytes.size() - whole.data());
  }
  for (std::size_t size = 0; size < needed; size += 8) {
    const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    if (!absl::IsDataLoss(ParseGguf(part, "file").status())) FAIL("accepted at " << size);
  }
}

TEST_CASE("no changed byte of a header makes a reader fail otherwise than with a status",
          "[model][hostile]") {
  const bool gguf = GENERATE(true, false);
  CAPTURE(gguf);
  Bytes file =
      ReadBytes(GoldenPath(gguf ? "gguf-Q4_1/model.gguf" : "llama-rope-linear/model.safetensors"));
  const std::size_t header = std::min<std::size_t>(file.size(), 2048);
  std::size_t refused = 0;
  for (std::size_t i = 0; i < header; ++i) {
    const std::uint8_t kept = file[i];
    for (const std::uint8_t value : {0x00, 0xff, 0x7f, kept ^ 1, kept ^ 0x80}) {
      file[i] = value;
      refused += gguf ? !ParseGguf(file, "file").ok() : !ParseSafetensors(file, "file").ok();
    }
    file[i] = kept;
  }
  CHECK(refused > header);
  CHECK((gguf ? ParseGguf(file, "file").ok() : ParseSafetensors(file, "file").ok()));
}

constexpr std::uint64_t kHuge = ~std::uint64_t{0};

TEST_CASE("hostile sizes in GGUF are refused before anything is allocated", "[model][hostile]") {
  struct Case {
    GgufWriter file;
    const char* says;
  };
  const auto array = [](std::uint32_t type, std::uint64_t count) {
    return GgufWriter(0, 1).Key("k", 9).Number(type).Number(count).Zeros(64);
  };
  const auto tensor = [](std::vector<std::uint64_t> dimensions, std::uint32_t type,
                         std::uint64_t offset) {
    return GgufWriter(1, 0).Tensor("t", dimensions, type, offset).Align(32).Zeros(256);
  };
  const auto alignment = [](std::uint32_t value) {
    return GgufWriter(0, 1).Key("general.alignment", 4).Number(value);
  };
  GgufWriter nested(0, 1);
  nested.Key("k", 9);
  for (int i = 0; i < 100; ++i) nested.Number<std::uint32_t>(9).Number<std::uint64_t>(1);
  const std::vector<Case> table = {
      {GgufWriter(kHuge, 0), "ends within a tensor's name"},
      {GgufWriter(0, kHuge), "ends within a metadata key"},
      {GgufWriter(0, 1).Number(kHuge), "a metadata key of 18446744073709551615 bytes"},
      {GgufWriter(0, 1).Key("k", 13).Zeros(64), "metadata type 13"},
      {GgufWriter(0, 1).Key("k", 7).Number<std::uint8_t>(2), "bool of value 2"},
      {GgufWriter(0, 2).Key("k", 0).Zeros(1).Key("k", 0).Zeros(1), "metadata key k twice"},
      {array(8, kHuge), "array of 18446744073709551615 elements"},
      {array(4, kHuge / 4 + 2), "expected at most 16"},
      {array(9, kHuge), "expected at most 5"},
      {array(99, 2), "metadata type 99"},
      {nested, "nested deeper"},
      {alignment(0), "general.alignment 0"},
      {alignment(48), "general.alignment 48"},
      {alignment(1u << 31), "general.alignment"},
      {tensor({1, 1, 1, 1, 1}, 0, 0), "5 dimensions"},
      {tensor({kHuge}, 0, 0), "dimension of 18446744073709551615"},
      {tensor({1ull << 40, 1ull << 40}, 0, 0), "absurd shape"},
      {tensor({1ull << 47}, 0, 0), "bytes expected, the file ends"},
      {tensor({33}, 8, 0), "multiple of 32 for Q8_0"},
      {tensor({32, 300}, 12, 0), "multiple of 256 for Q4_K"},
      {tensor({1}, 0, 16), "expected a multiple of 32"},
      {tensor({1}, 0, kHuge - 31), "data ends at 256"},
      {tensor({65}, 0, 0), "260 bytes expected"},
      {GgufWriter(2, 0).Tensor("t", {1}, 0, 0).Tensor("t", {1}, 0, 32).Align(32).Zeros(64),
       "tensor t twice"},
      {GgufWriter(2, 0).Tensor("t", {9}, 0, 0).Tensor("u", {1}, 0, 32).Align(32).Zeros(64),
       "tensor u: data offset 32 lies within"},
  };
  for (const Case& row : table) {
    CAPTURE(row.says);
    const auto contents = ParseGguf(row.file.bytes(), "file.gguf");
    INFO(std::string(contents.status().message()));
    CHECK(absl::IsDataLoss(contents.status()));
    CHECK(Says(contents.status(), row.says));
    CHECK(Says(contents.status(), "file.gguf"));
  }
}

}  // namespace
}  // namespace fallow
