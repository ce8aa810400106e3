#include "model/gguf.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "catch2/catch_test_macros.hpp"
#include "catch2/generators/catch_generators.hpp"
#include "model/safetensors.h"
#include "tests/model/files.h"

namespace fallow {
namespace {

TEST_CASE("quantised blocks have the values that gguf-py gives them, bit by bit", "[model][gguf]") {
  const std::string type = GENERATE("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1",
                                    "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL");
  CAPTURE(type);
  const auto checkpoint = OpenGolden("gguf-" + type);
  const auto tensor = checkpoint->Find("blk.0.ffn_down.weight");
  REQUIRE(tensor.ok());
  CHECK(Name(tensor->type) == type);

  const auto file = SafetensorsFile::Open(GoldenPath("gguf-" + type) + "/expected.safetensors");
  REQUIRE(file.ok());
  const auto expected = (*file)->Find("dequantized.blk.0.ffn_down");
  REQUIRE(expected.ok());
  REQUIRE(expected->shape == tensor->shape);
  std::vector<float> values(tensor->elements());
  Dequantize(tensor->type, tensor->bytes, tensor->elements(), values.data());
  REQUIRE(expected->bytes.size() == values.size() * sizeof(float));
  CHECK(std::memcmp(values.data(), expected->bytes.data(), expected->bytes.size()) == 0);
}

TEST_CASE("metadata of every type is read", "[model][gguf]") {
  GgufWriter file(0, 14);
  file.Key("u8", 0).Number<std::uint8_t>(200);
  file.Key("i8", 1).Number<std::int8_t>(-100);
  file.Key("u16", 2).Number<std::uint16_t>(60000);
  file.Key("i16", 3).Number<std::int16_t>(-30000);
  file.Key("u32", 4).Number<std::uint32_t>(4000000000);
  file.Key("i32", 5).Number<std::int32_t>(-2000000000);
  file.Key("f32", 6).Number(1.5f);
  file.Key("bool", 7).Number<std::uint8_t>(1);
  file.Key("string", 8).Text("text \xff");
  file.Key("u64", 10).Number(std::numeric_limits<std::uint64_t>::max());
  file.Key("i64", 11).Number(std::numeric_limits<std::int64_t>::min());
  file.Key("f64", 12).Number(0.1);
  file.Key("array", 9).Number<std::uint32_t>(8).Number<std::uint64_t>(2).Text("a").Text("b");
  file.Key("nested", 9).Number<std::uint32_t>(9).Number<std::uint64_t>(1);
  file.Number<std::uint32_t>(0).Number<std::uint64_t>(2).Number<std::uint16_t>(0x0201);

  const auto contents = ParseGguf(file.bytes(), "file");
  INFO(std::string(contents.status().message()));
  REQUIRE(contents.ok());
  const nlohmann::json& metadata = contents->metadata;
  CHECK(metadata["u8"] == 200);
  CHECK(metadata["i8"] == -100);
  CHECK(metadata["u16"] == 60000);
  CHECK(metadata["i16"] == -30000);
  CHECK(metadata["u32"] == 4000000000);
  CHECK(metadata["i32"] == -2000000000);
  CHECK(metadata["f32"] == 1.5);
  CHECK(metadata["bool"] == true);
  CHECK(metadata["string"] == "text \xff");
  CHECK(metadata["u64"] == std::numeric_limits<std::uint64_t>::max());
  CHECK(metadata["i64"] == std::numeric_limits<std::int64_t>::min());
  CHECK(metadata["f64"] == 0.1);
  CHECK(metadata["array"] == nlohmann::json({"a", "b"}));
  CHECK(metadata["nested"] == nlohmann::json::array({{1, 2}}));
}

TEST_CASE("a tokenizer's long arrays are read when they are asked for", "[model][gguf]") {
  constexpr int kTokens = 1500;
  GgufWriter file(0, 4);
  file.Key("general.architecture", 8).Text("llama");
  file.Key("tokenizer.ggml.tokens", 9).Number<std::uint32_t>(8).Number<std::uint64_t>(kTokens);
  for (int i = 0; i < kTokens; ++i) file.Text("token " + std::to_string(i));
  file.Key("tokenizer.ggml.scores", 9).Number<std::uint32_t>(6).Number<std::uint64_t>(kTokens);
  for (int i = 0; i < kTokens; ++i) file.Number(static_cast<float>(i));
  file.Key("tokenizer.ggml.model", 8).Text("gpt2");
  const TemporaryDirectory directory;
  directory.Write("x.gguf", file.text());

  const auto checkpoint = Checkpoint::Open(directory.File("x.gguf"));
  REQUIRE(checkpoint.ok());
  CHECK((*checkpoint)->config().contains("tokenizer.ggml.model"));
  CHECK_FALSE((*checkpoint)->config().contains("tokenizer.ggml.tokens"));
  const auto tokenizer = (*checkpoint)->tokenizer();
  REQUIRE(tokenizer.ok());
  CHECK(tokenizer->size() == 3);
  CHECK((*tokenizer)["tokenizer.ggml.tokens"].size() == kTokens);
  CHECK((*tokenizer)["tokenizer.ggml.tokens"][1499] == "token 1499");
  CHECK((*tokenizer)["tokenizer.ggml.scores"][7] == 7);
}

TEST_CASE("tensors lie where the alignment puts them, outermost dimension first", "[model][gguf]") {
  GgufWriter file(2, 1);
  file.Key("general.alignment", 4).Number<std::uint32_t>(64);
  file.Tensor("a", {32, 3}, 8, 0);  // Q8_0, 102 bytes
  file.Tensor("b", {2}, 0, 128);
  file.Align(64).Zeros(128).Number(1.0f).Number(2.0f);
  const auto contents = ParseGguf(file.bytes(), "file");
  REQUIRE(contents.ok());
  const GgufEntry& a = contents->tensors.at("a");
  CHECK(a.shape == std::vector<std::int64_t>{3, 32});
  CHECK(a.bytes.size() == 102);
  float values[2];
  Dequantize(StoredType::kF32, contents->tensors.at("b").bytes, 2, values);
  CHECK(values[1] == 2.0f);
}

TEST_CASE("versions 2 and 3 are read, others named", "[model][gguf]") {
  CHECK(ParseGguf(GgufWriter(0, 0, 2).bytes(), "file").ok());
  CHECK(ParseGguf(GgufWriter(0, 0, 3).bytes(), "file").ok());
  const auto old = ParseGguf(GgufWriter(0, 0, 1).bytes(), "file");
  REQUIRE(absl::IsUnimplemented(old.status()));
  CHECK(std::string(old.status().message()).find("version 1") != std::string::npos);
  const auto swapped = ParseGguf(GgufWriter(0, 0, 0x03000000).bytes(), "file");
  REQUIRE(absl::IsUnimplemented(swapped.status()));
  CHECK(std::string(swapped.status().message()).find("big-endian") != std::string::npos);
}

TEST_CASE("a tensor type that is not supported is named when it is asked for", "[model][gguf]") {
  GgufWriter file(2, 0);
  file.Tensor("known", {32}, 23, 0).Tensor("unheard", {32}, 77, 32).Align(32).Zeros(64);
  const TemporaryDirectory directory;
  directory.Write("x.gguf", file.text());
  const auto checkpoint = Checkpoint::Open(directory.File("x.gguf"));
  REQUIRE(checkpoint.ok());
  const absl::Status known = (*checkpoint)->Find("known").status();
  CHECK(absl::IsUnimplemented(known));
  CHECK(std::string(known.message()).find("IQ4_XS (23)") != std::string::npos);
  const absl::Status unheard = (*checkpoint)->Find("unheard").status();
  CHECK(absl::IsUnimplemented(unheard));
  CHECK(std::string(unheard.message()).find("77") != std::string::npos);
}

}  // namespace
}  // namespace fallow
