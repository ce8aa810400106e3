#include "model/weights.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "catch2/catch_test_macros.hpp"
#include "catch2/generators/catch_generators.hpp"
#include "kernels/float_bits.h"
#include "tests/model/files.h"

namespace fallow {
namespace {

using nlohmann::json;

NumericClass Class(const std::string& text, const Checkpoint& checkpoint) {
  const auto chosen = NumericClass::Choose(text, "auto", checkpoint);
  REQUIRE(chosen.ok());
  return *chosen;
}

struct Opened {
  std::unique_ptr<Checkpoint> checkpoint;
  Family family;
  ModelSpec spec;

  absl::StatusOr<WeightRows> Matrix(const NumericClass& numeric_class, const std::string& slot,
                                    int block = 0) const {
    return ReadMatrix(*checkpoint, family, spec, numeric_class, slot, block);
  }
};

Opened Open(std::unique_ptr<Checkpoint> checkpoint) {
  const auto family = Family::For(*checkpoint);
  REQUIRE(family.ok());
  const auto spec = family->ReadSpec(*checkpoint);
  INFO(std::string(spec.status().message()));
  REQUIRE(spec.ok());
  return {std::move(checkpoint), *family, *spec};
}

// The values that a matrix stands for.
std::vector<float> ValuesOf(const WeightRows& matrix) {
  if (matrix.type == WeightType::kFp32) return matrix.values;
  std::vector<float> values(matrix.rows * matrix.cols);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (matrix.type == WeightType::kBf16) {
      values[i] = FloatFromBf16(matrix.bf16[i]);
      continue;
    }
    const int code = matrix.codes[i];
    const float scale = FloatFromFp16(matrix.scale[i / kGroup]);
    switch (matrix.type) {
      case WeightType::kQ8:
        values[i] = scale * (code - 128);
        break;
      case WeightType::kQ4_0:
        values[i] = scale * (code - 8);
        break;
      case WeightType::kQ4_1:
        values[i] = scale * code + FloatFromFp16(matrix.minimum[i / kGroup]);
        break;
      default:
        values[i] = scale * kNl4Codebook[code];
    }
  }
  return values;
}

// Root of the mean squared difference over that of `expected`.
double RelativeError(const std::vector<float>& values, const std::vector<float>& expected) {
  REQUIRE(values.size() == expected.size());
  double error = 0;
  double norm = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    error += std::pow(double{values[i]} - expected[i], 2);
    norm += std::pow(expected[i], 2);
  }
  return std::sqrt(error / norm);
}

TEST_CASE("a numeric class is written with what is not its default", "[model][class]") {
  const auto quantised = OpenGolden("gguf-Q4_1");
  for (const std::string text : {"fp32", "bf16", "exact-1", "exact-1+q8", "exact-1+q4", "bf16+kv8",
                                 "exact-1+r8", "exact-1+q4+r8", "bf16+kv8+r8"}) {
    CAPTURE(text);
    CHECK(Class(text, *quantised).ToString() == text);
  }
  CHECK(Class("exact", *quantised).ToString() == "exact-1");
  CHECK(Class("exact+r8+q8", *quantised).ToString() == "exact-1+q8+r8");
  CHECK(Class("fp32", *quantised).kv == KvFormat::kFp32);
  CHECK(Class("fp32", *quantised).rounding == Rounding::kNone);
  CHECK(Class("bf16", *quantised).kv == KvFormat::kBf16);
  CHECK(Class("exact", *quantised).kv == KvFormat::kQ8);
  CHECK(Class("exact", *quantised).rounding == Rounding::kBf16);
}

TEST_CASE("class and conversion are chosen by the options and the checkpoint", "[model][class]") {
  struct Case {
    const char* golden;
    const char* numeric_class;
    const char* weights;
    const char* expected;  // empty: InvalidArgument
  };
  const Case row = GENERATE(
      Case{"gguf-Q4_1", "auto", "auto", "exact-1"}, Case{"llama", "auto", "auto", "bf16"},
      Case{"gguf-F16", "auto", "auto", "bf16"}, Case{"gguf-F32", "auto", "auto", "bf16"},
      Case{"llama", "auto", "q8", "exact-1+q8"}, Case{"llama", "auto", "q4", "exact-1+q4"},
      Case{"llama", "auto", "fp32", "fp32"}, Case{"gguf-Q4_1", "auto", "bf16", "bf16"},
      Case{"llama", "exact", "q4", "exact-1+q4"}, Case{"llama", "exact-1+q8", "q8", "exact-1+q8"},
      Case{"llama", "fp32", "fp32", "fp32"}, Case{"llama", "bf16+r8", "bf16", "bf16+r8"},
      Case{"llama", "exact", "auto", ""}, Case{"llama", "exact", "bf16", ""},
      Case{"llama", "fp32", "bf16", ""}, Case{"llama", "bf16", "q8", ""},
      Case{"llama", "exact-1+q8", "q4", ""}, Case{"llama", "auto", "q5", ""},
      Case{"llama", "auto", "exact", ""}, Case{"llama", "exact-2", "auto", ""},
      Case{"llama", "", "auto", ""}, Case{"llama", "fp32+r8", "auto", ""},
      Case{"gguf-Q4_1", "exact+kv8", "auto", ""}, Case{"llama", "bf16+q8", "auto", ""},
      Case{"llama", "exact+q8+q4", "auto", ""});
  CAPTURE(row.golden, row.numeric_class, row.weights);
  const auto chosen = NumericClass::Choose(row.numeric_class, row.weights, *OpenGolden(row.golden));
  if (row.expected[0] == '\0') {
    CHECK(absl::IsInvalidArgument(chosen.status()));
  } else {
    REQUIRE(chosen.ok());
    CHECK(chosen->ToString() == row.expected);
  }
}

TEST_CASE("stored formats are held as they are, or as the next better one", "[model][weights]") {
  struct Case {
    const char* golden;
    WeightType held;
    double tolerance;  // relative; 0 where every value is the same
  };
  // q8 is off by up to 1/254 of a group's largest value, fp16 scales and minima by 2^-11.
  const Case row =
      GENERATE(Case{"gguf-Q8_0", WeightType::kQ8, 0}, Case{"gguf-Q4_0", WeightType::kQ4_0, 0},
               Case{"gguf-Q4_1", WeightType::kQ4_1, 0}, Case{"gguf-IQ4_NL", WeightType::kNl4, 0},
               Case{"gguf-Q4_K", WeightType::kQ4_1, 1e-3}, Case{"gguf-Q5_0", WeightType::kQ8, 0},
               Case{"gguf-Q5_1", WeightType::kQ8, 6e-3}, Case{"gguf-Q2_K", WeightType::kQ8, 6e-3},
               Case{"gguf-Q3_K", WeightType::kQ8, 6e-3}, Case{"gguf-Q5_K", WeightType::kQ8, 6e-3},
               Case{"gguf-Q6_K", WeightType::kQ8, 6e-3});
  CAPTURE(row.golden);
  const Opened model = Open(OpenGolden(row.golden));
  const auto exact = model.Matrix(Class("exact", *model.checkpoint), "down");
  const auto floats = model.Matrix(Class("fp32", *model.checkpoint), "down");
  REQUIRE(exact.ok());
  REQUIRE(floats.ok());
  CHECK(exact->type == row.held);
  CHECK(floats->type == WeightType::kFp32);
  const double error = RelativeError(ValuesOf(*exact), floats->values);
  CHECK(error <= row.tolerance);
  CHECK((row.tolerance == 0 || error > 0));

  const auto rounded = model.Matrix(Class("bf16", *model.checkpoint), "down");
  REQUIRE(rounded.ok());
  CHECK(rounded->type == WeightType::kBf16);
  CHECK(RelativeError(ValuesOf(*rounded), floats->values) <= 0x1p-8);
}

TEST_CASE("a conversion makes weights smaller, never larger", "[model][weights]") {
  struct Case {
    const char* golden;
    const char* numeric_class;
    WeightType held;
    double tolerance;
  };
  const Case row = GENERATE(Case{"llama", "exact+q8", WeightType::kQ8, 0.01},
                            Case{"llama", "exact+q4", WeightType::kQ4_1, 0.1},
                            Case{"gguf-Q8_0", "exact+q4", WeightType::kQ4_1, 0.1},
                            Case{"gguf-Q6_K", "exact+q4", WeightType::kQ4_1, 0.1},
                            Case{"gguf-Q4_0", "exact+q8", WeightType::kQ4_0, 0},
                            Case{"gguf-Q4_0", "exact+q4", WeightType::kQ4_0, 0},
                            Case{"gguf-IQ4_NL", "exact+q4", WeightType::kNl4, 0});
  CAPTURE(row.golden, row.numeric_class);
  const Opened model = Open(OpenGolden(row.golden));
  const auto converted = model.Matrix(Class(row.numeric_class, *model.checkpoint), "down");
  const auto floats = model.Matrix(Class("fp32", *model.checkpoint), "down");
  REQUIRE(converted.ok());
  CHECK(converted->type == row.held);
  CHECK(RelativeError(ValuesOf(*converted), floats->values) <= row.tolerance);
}

TEST_CASE("float matrices of a mixed file become q8 in the exact class", "[model][weights]") {
  json config = {{"general.architecture", "llama"},
                 {"llama.block_count", 1},
                 {"llama.embedding_length", 64},
                 {"llama.attention.head_count", 2},
                 {"llama.feed_forward_length", 32},
                 {"llama.context_length", 128},
                 {"llama.vocab_size", 4}};
  auto checkpoint = std::make_unique<FakeCheckpoint>(true, config);
  std::vector<float> values(64 * 32);
  std::minstd_rand random(1);
  for (float& value : values) value = static_cast<float>(random() % 2001) / 1000 - 1;
  values[5] = 0;
  std::fill_n(values.begin() + 32, 32, 0.0f);  // a group of zeros
  checkpoint->Add("blk.0.ffn_down.weight", {64, 32}, values);
  const Opened model = Open(std::move(checkpoint));
  NumericClass exact;
  const auto matrix = model.Matrix(exact, "down");
  REQUIRE(matrix.ok());
  CHECK(matrix->type == WeightType::kQ8);
  const std::vector<float> held = ValuesOf(*matrix);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::abs(held[i] - values[i]) > 0.55f / 127) FAIL("element " << i);
  }
  CHECK(held[5] == 0);
  CHECK(held[40] == 0);
}

TEST_CASE("rows of GGUF's query and key come back in their own order", "[model][weights]") {
  json config = {{"general.architecture", "llama"},
                 {"llama.block_count", 1},
                 {"llama.embedding_length", 8},
                 {"llama.attention.head_count", 2},
                 {"llama.attention.head_count_kv", 1},
                 {"llama.attention.key_length", 8},
                 {"llama.feed_forward_length", 32},
                 {"llama.context_length", 128},
                 {"llama.vocab_size", 4}};
  // Row r of the original query is all r; the converter writes, within each head of 8, rows 0, 4,
  // 1, 5, 2, 6, 3, 7.
  std::vector<float> stored;
  std::vector<float> bias;
  for (const int head : {0, 8}) {
    for (const int row : {0, 4, 1, 5, 2, 6, 3, 7}) {
      stored.insert(stored.end(), 8, static_cast<float>(head + row));
      bias.push_back(static_cast<float>(head + row));
    }
  }
  auto checkpoint = std::make_unique<FakeCheckpoint>(true, config);
  checkpoint->Add("blk.0.attn_q.weight", {16, 8}, stored);
  checkpoint->Add("blk.0.attn_q.bias", {16}, bias);
  const Opened model = Open(std::move(checkpoint));
  const auto matrix = model.Matrix(Class("fp32", *model.checkpoint), "query");
  REQUIRE(matrix.ok());
  const auto vector = ReadVector(*model.checkpoint, model.family, model.spec, "query.bias", 0);
  REQUIRE(vector.ok());
  for (int row = 0; row < 16; ++row) {
    CHECK(matrix->values[row * 8 + 7] == static_cast<float>(row));
    CHECK((*vector)[row] == static_cast<float>(row));
  }
}

TEST_CASE("fused query, key and value are taken apart", "[model][weights]") {
  const bool gguf = GENERATE(false, true);
  CAPTURE(gguf);
  json config = gguf ? json{{"general.architecture", "bloom"}, {"bloom.block_count", 1},
                            {"bloom.embedding_length", 4},     {"bloom.attention.head_count", 2},
                            {"bloom.feed_forward_length", 16}, {"bloom.vocab_size", 4}}
                     : json{{"model_type", "bloom"},
                            {"n_layer", 1},
                            {"hidden_size", 4},
                            {"n_head", 2},
                            {"vocab_size", 4}};
  // Rows as the parts' own numbers: query 0-3, key 10-13, value 20-23; heads of 2.
  const std::vector<float> rows =
      gguf ? std::vector<float>{0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23}
           : std::vector<float>{0, 1, 10, 11, 20, 21, 2, 3, 12, 13, 22, 23};
  auto checkpoint = std::make_unique<FakeCheckpoint>(gguf, config);
  checkpoint->Add(gguf ? "blk.0.attn_qkv.bias" : "h.0.self_attention.query_key_value.bias", {12},
                  rows);
  const Opened model = Open(std::move(checkpoint));
  for (const auto& [slot, first] : {std::pair("query.bias", 0.0f), std::pair("key.bias", 10.0f),
                                    std::pair("value.bias", 20.0f)}) {
    const auto vector = ReadVector(*model.checkpoint, model.family, model.spec, slot, 0);
    INFO(std::string(vector.status().message()));
    REQUIRE(vector.ok());
    CHECK(*vector == std::vector<float>{first, first + 1, first + 2, first + 3});
  }
}

TEST_CASE("a tied head is the embedding", "[model][weights]") {
  const Opened model = Open(OpenGolden("llama"));
  const NumericClass fp32 = Class("fp32", *model.checkpoint);
  CHECK(model.Matrix(fp32, "head")->values == model.Matrix(fp32, "embedding")->values);
  const Opened untied = Open(OpenGolden("llama-untied"));
  CHECK(untied.Matrix(fp32, "head")->values != untied.Matrix(fp32, "embedding")->values);
}

TEST_CASE("a tensor of another shape than the configuration's is damaged", "[model][hostile]") {
  TemporaryDirectory directory;
  json config = json::parse(ReadBytes(GoldenPath("llama/config.json")));
  config["intermediate_size"] = 160;
  directory.Write("config.json", config.dump());
  directory.Copy(GoldenPath("llama/model.safetensors"), "model.safetensors");
  const Opened model = Open(*Checkpoint::Open(directory.path()));
  const NumericClass fp32 = Class("fp32", *model.checkpoint);
  CHECK(model.Matrix(fp32, "query").ok());
  const absl::Status status = model.Matrix(fp32, "down").status();
  CHECK(absl::IsDataLoss(status));
  CHECK(std::string(status.message()).find("shape [128,192], expected [128,160]") !=
        std::string::npos);
}

TEST_CASE("weights that cannot be quantised are refused by name", "[model][hostile]") {
  json config = {{"model_type", "bloom"},
                 {"n_layer", 1},
                 {"hidden_size", 32},
                 {"n_head", 1},
                 {"vocab_size", 2}};
  std::vector<float> values(64, 1);
  const float bad = GENERATE(std::nanf(""), INFINITY, -1e9f);
  values[40] = bad;
  auto checkpoint = std::make_unique<FakeCheckpoint>(false, config);
  checkpoint->Add("word_embeddings.weight", {2, 32}, values);
  const Opened model = Open(std::move(checkpoint));
  for (const WeightType type : {WeightType::kQ8, WeightType::kQ4_1}) {
    NumericClass exact;
    exact.weights = type;
    const absl::Status status = model.Matrix(exact, "embedding").status();
    CHECK(absl::IsDataLoss(status));
    CHECK(std::string(status.message()).find("word_embeddings.weight: row 1") != std::string::npos);
  }
}

TEST_CASE("quantised rows need a multiple of 32 elements", "[model][hostile]") {
  json config = {{"model_type", "bloom"},
                 {"n_layer", 1},
                 {"hidden_size", 48},
                 {"n_head", 1},
                 {"vocab_size", 1}};
  auto checkpoint = std::make_unique<FakeCheckpoint>(false, config);
  checkpoint->Add("word_embeddings.weight", {1, 48}, std::vector<float>(48));
  const Opened model = Open(std::move(checkpoint));
  const absl::Status status = model.Matrix(NumericClass{}, "embedding").status();
  CHECK(absl::IsInvalidArgument(status));
  CHECK(std::string(status.message()).find("multiple of 32") != std::string::npos);
  CHECK(model.Matrix(Class("bf16", *model.checkpoint), "embedding").ok());
}

std::string Hex(const Digest& digest) {
  std::string text;
  for (const std::uint8_t byte : digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

TEST_CASE("digests are of what is stored", "[model][digest]") {
  const Opened model = Open(OpenGolden("llama"));
  const auto block = [&](int i) {
    return *BlockDigest(*model.checkpoint, model.family, model.spec, i);
  };
  CHECK(block(0) == block(0));
  CHECK(block(0) != block(1));
  CHECK(block(0) != *EndsDigest(*model.checkpoint, model.family, model.spec));
  CHECK(absl::IsNotFound(BlockDigest(*model.checkpoint, model.family, model.spec, 6).status()));

  TemporaryDirectory directory;
  directory.Copy(GoldenPath("llama/config.json"), "config.json");
  Bytes file = ReadBytes(GoldenPath("llama/model.safetensors"));
  const auto tensor = model.checkpoint->Find("model.layers.3.mlp.up_proj.weight");
  const auto first = model.checkpoint->Find("model.embed_tokens.weight");
  REQUIRE(tensor.ok());
  REQUIRE(first.ok());
  const auto place =
      std::search(file.begin(), file.end(), tensor->bytes.begin(), tensor->bytes.end());
  REQUIRE(place != file.end());
  *place ^= 1;
  directory.Write("model.safetensors", std::string(file.begin(), file.end()));
  const Opened changed = Open(*Checkpoint::Open(directory.path()));
  for (int i = 0; i < model.spec.num_blocks; ++i) {
    CAPTURE(i);
    const auto digest = BlockDigest(*changed.checkpoint, changed.family, changed.spec, i);
    CHECK((*digest == block(i)) == (i != 3));
  }
  CHECK(*ManifestDigest(*changed.checkpoint, changed.family, changed.spec) ==
        *ManifestDigest(*model.checkpoint, model.family, model.spec));
}

TEST_CASE("a manifest is the same for a holder of some shards, not for another spec",
          "[model][digest]") {
  const Opened whole = Open(OpenGolden("llama-sharded"));
  TemporaryDirectory directory;
  for (const char* const name : {"config.json", "model.safetensors.index.json"}) {
    directory.Copy(GoldenPath("llama-sharded/") + name, name);
  }
  Opened part = Open(*Checkpoint::Open(directory.path()));
  const auto manifest = [](const Opened& model) {
    return *ManifestDigest(*model.checkpoint, model.family, model.spec);
  };
  CHECK(manifest(part) == manifest(whole));
  part.spec.end_tokens = {1};  // no matter of arithmetic
  CHECK(manifest(part) == manifest(whole));
  part.spec.rope_theta = 10001;
  CHECK(manifest(part) != manifest(whole));
}

TEST_CASE("digests do not change from build to build", "[model][digest]") {
  const Opened model = Open(OpenGolden("bloom"));
  CHECK(Hex(*BlockDigest(*model.checkpoint, model.family, model.spec, 0)) ==
        "a80e03d1fae536d468420c0cdada395ac7ee3f353b19628110a93a7d95f55abb");
  CHECK(Hex(*EndsDigest(*model.checkpoint, model.family, model.spec)) ==
        "25095b09c0082f747df78e449e3566188fd3523afe9e06b6634135dcbd5e4d25");
  CHECK(Hex(*ManifestDigest(*model.checkpoint, model.family, model.spec)) ==
        "75c1d223852c42bb77578a652672b2ad128faec0e41c185c6197f8bd599c3042");
}

}  // namespace
}  // namespace fallow
