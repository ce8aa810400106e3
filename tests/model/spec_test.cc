#include "model/spec.h"

#include <cmath>
#include <functional>
#include <sstream>

#include "catch2/catch_test_macros.hpp"
#include "catch2/generators/catch_generators.hpp"
#include "model/rope_factors.h"
#include "tests/model/files.h"

namespace fallow {
namespace {

using nlohmann::json;

absl::StatusOr<ModelSpec> SpecOf(const Checkpoint& checkpoint) {
  const auto family = Family::For(checkpoint);
  if (!family.ok()) return family.status();
  return family->ReadSpec(checkpoint);
}

ModelSpec GoldenSpec(const std::string& name) {
  const auto spec = SpecOf(*OpenGolden(name));
  INFO(std::string(spec.status().message()));
  REQUIRE(spec.ok());
  return *spec;
}

json LlamaConfig() {
  return {{"model_type", "llama"},    {"num_hidden_layers", 2},        {"hidden_size", 64},
          {"num_attention_heads", 4}, {"intermediate_size", 96},       {"vocab_size", 256},
          {"rms_norm_eps", 1e-5},     {"max_position_embeddings", 512}};
}

json GgufConfig() {
  return {{"general.architecture", "llama"},
          {"llama.block_count", 2},
          {"llama.embedding_length", 64},
          {"llama.attention.head_count", 2},
          {"llama.feed_forward_length", 96},
          {"llama.context_length", 131072},
          {"llama.vocab_size", 256},
          {"llama.rope.freq_base", 500000.0},
          {"llama.attention.layer_norm_rms_epsilon", 1e-5}};
}

TEST_CASE("a llama's configuration becomes a spec", "[model][spec]") {
  const ModelSpec spec = GoldenSpec("llama");
  ModelSpec expected;
  expected.family = "llama";
  expected.num_blocks = 6;
  expected.hidden_size = 128;
  expected.num_heads = 4;
  expected.num_kv_heads = 2;
  expected.head_dim = 32;
  expected.intermediate_size = 192;
  expected.vocab_size = 320;
  expected.max_positions = 512;
  expected.norm_epsilon = 1e-5f;
  expected.rope_dims = 32;
  expected.attention_scale = static_cast<float>(1 / std::sqrt(32.0));
  expected.tied_head = true;
  expected.end_tokens = spec.end_tokens;
  expected.begin_token = 1;
  expected.pad_token = spec.pad_token;
  CHECK(spec == expected);
  CHECK_FALSE(spec.end_tokens.empty());
}

TEST_CASE("what is not Llama is read from a family's descriptor", "[model][spec]") {
  const ModelSpec bloom = GoldenSpec("bloom");
  CHECK(bloom.family == "bloom");
  CHECK(bloom.norm == ModelSpec::Norm::kLayer);
  CHECK(bloom.position == ModelSpec::Position::kAlibi);
  CHECK(bloom.activation == ModelSpec::Activation::kGeluTanh);
  CHECK_FALSE(bloom.gated);
  CHECK(bloom.embedding_norm);
  CHECK(bloom.tied_head);
  CHECK(bloom.num_blocks == 3);
  CHECK(bloom.num_kv_heads == 2);
  CHECK(bloom.head_dim == 32);
  CHECK(bloom.intermediate_size == 256);
  CHECK(bloom.max_positions == 2048);
  CHECK(bloom.rope_dims == 0);

  const ModelSpec mistral = GoldenSpec("mistral");
  CHECK(mistral.family == "mistral");
  CHECK(mistral.sliding_window == 12);
  CHECK(mistral.norm == ModelSpec::Norm::kRms);
  CHECK(GoldenSpec("llama").sliding_window == 0);
}

TEST_CASE("a window of null is none, an absent one Mistral's default", "[model][spec]") {
  json config = LlamaConfig();
  config["model_type"] = "mistral";
  CHECK(SpecOf(FakeCheckpoint(false, config))->sliding_window == 4096);
  config["sliding_window"] = nullptr;
  CHECK(SpecOf(FakeCheckpoint(false, config))->sliding_window == 0);
}

TEST_CASE("each way of writing RoPE scaling is understood", "[model][spec]") {
  using enum RopeScaling::Kind;
  const ModelSpec linear = GoldenSpec("llama-rope-linear");
  CHECK(linear.rope_scaling.kind == kLinear);
  CHECK(linear.rope_scaling.factor == 4);
  CHECK(linear.max_positions == 2048);
  const ModelSpec dynamic = GoldenSpec("llama-rope-dynamic");
  CHECK(dynamic.rope_scaling.kind == kDynamic);
  CHECK(dynamic.rope_scaling.original_max_positions == 16);
  CHECK(dynamic.max_positions == 64);
  const ModelSpec llama3 = GoldenSpec("llama-rope-llama3");
  CHECK(llama3.rope_scaling.kind == kLlama3);
  CHECK(llama3.rope_scaling.original_max_positions == 64);
  CHECK(llama3.max_positions == 512);
  const ModelSpec yarn = GoldenSpec("llama-rope-yarn");
  CHECK(yarn.rope_scaling.kind == kYarn);
  CHECK(yarn.rope_scaling.original_max_positions == 1024);
  CHECK(yarn.rope_theta == 1000);
  const ModelSpec parameters = GoldenSpec("llama-rope-parameters");
  CHECK(parameters.rope_scaling == RopeScaling());
  CHECK(parameters.rope_theta == 500);

  json config = LlamaConfig();
  config["rope_scaling"] = {{"type", "linear"}, {"factor", 2.0}};
  CHECK(SpecOf(FakeCheckpoint(false, config))->rope_scaling.kind == kLinear);
  config["rope_scaling"] = nullptr;
  CHECK(SpecOf(FakeCheckpoint(false, config))->rope_scaling == RopeScaling());
  config["rope_scaling"] = {{"rope_type", "longrope"}};
  CHECK(absl::IsUnimplemented(SpecOf(FakeCheckpoint(false, config)).status()));

  json gguf = GgufConfig();
  gguf["llama.rope.scaling.type"] = "yarn";
  gguf["llama.rope.scaling.factor"] = 4.0;
  gguf["llama.rope.scaling.original_context_length"] = 32768;
  const auto stretched = SpecOf(FakeCheckpoint(true, gguf));
  REQUIRE(stretched.ok());
  CHECK(stretched->rope_scaling.kind == kYarn);
  CHECK(stretched->rope_scaling.original_max_positions == 32768);
}

// What llama.cpp's converter writes for Llama 3.1: its formula, for heads of 32 and theta 500000.
std::vector<float> Llama3Factors(double factor) {
  std::vector<float> factors;
  for (int i = 0; i < 16; ++i) {
    const double wave_length = 2 * M_PI * std::pow(500000.0, i / 16.0);
    const double smooth = (8192 / wave_length - 1) / 3;
    if (wave_length < 8192 / 4.0) {
      factors.push_back(1);
    } else if (wave_length > 8192) {
      factors.push_back(static_cast<float>(factor));
    } else {
      factors.push_back(static_cast<float>(1 / ((1 - smooth) / factor + smooth)));
    }
  }
  return factors;
}

TEST_CASE("Llama 3's scaling is recognised by the factors in a GGUF file", "[model][spec]") {
  for (const double factor : {8.0, 32.0}) {
    FakeCheckpoint checkpoint(true, GgufConfig());
    checkpoint.Add("rope_freqs.weight", {16}, Llama3Factors(factor));
    const auto spec = SpecOf(checkpoint);
    INFO(std::string(spec.status().message()));
    REQUIRE(spec.ok());
    CHECK(spec->rope_scaling.kind == RopeScaling::Kind::kLlama3);
    CHECK(spec->rope_scaling.factor == factor);
    CHECK(spec->rope_scaling.original_max_positions == 8192);
    CHECK(spec->max_positions == 131072);
  }
  FakeCheckpoint other(true, GgufConfig());
  std::vector<float> factors = Llama3Factors(8);
  factors[9] *= 1.01f;
  other.Add("rope_freqs.weight", {16}, factors);
  CHECK(absl::IsUnimplemented(SpecOf(other).status()));
  FakeCheckpoint shorter(true, GgufConfig());
  shorter.Add("rope_freqs.weight", {8}, std::vector<float>(8, 1));
  CHECK(absl::IsDataLoss(SpecOf(shorter).status()));
}

TEST_CASE("a GGUF llama without a head of its own is tied", "[model][spec]") {
  FakeCheckpoint checkpoint(true, GgufConfig());
  CHECK(SpecOf(checkpoint)->tied_head);
  checkpoint.Add("output.weight", {1}, {0});
  CHECK_FALSE(SpecOf(checkpoint)->tied_head);
  CHECK_FALSE(GoldenSpec("llama-untied").tied_head);
}

TEST_CASE("a GGUF file without a vocabulary size has that of its embedding", "[model][spec]") {
  json config = GgufConfig();
  config.erase("llama.vocab_size");
  FakeCheckpoint checkpoint(true, config);
  CHECK(absl::IsInvalidArgument(SpecOf(checkpoint).status()));
  checkpoint.Add("token_embd.weight", {3, 1}, {0, 0, 0});
  CHECK(SpecOf(checkpoint)->vocab_size == 3);
}

TEST_CASE("end tokens may be one or several, and generation defaults win", "[model][spec]") {
  using Tokens = std::vector<TokenId>;
  json config = LlamaConfig();
  CHECK(SpecOf(FakeCheckpoint(false, config))->end_tokens == Tokens{});
  config["eos_token_id"] = 7;
  CHECK(SpecOf(FakeCheckpoint(false, config))->end_tokens == Tokens{7});
  config["generation_config"] = {{"eos_token_id", {8, 9}}};
  CHECK(SpecOf(FakeCheckpoint(false, config))->end_tokens == Tokens{8, 9});
  json gguf = GgufConfig();
  gguf["tokenizer.ggml.eos_token_id"] = 2;
  gguf["tokenizer.ggml.eot_token_id"] = 5;
  CHECK(SpecOf(FakeCheckpoint(true, gguf))->end_tokens == Tokens{2, 5});
}

TEST_CASE("absurd configurations are refused by key", "[model][spec][hostile]") {
  struct Case {
    const char* key;
    json value;
    const char* says;
    bool unimplemented = false;
  };
  const std::vector<Case> table = {
      {"num_hidden_layers", nullptr, "no num_blocks, expected one of: key num_hidden_layers"},
      {"num_hidden_layers", 0, "num_blocks (key num_hidden_layers) is 0"},
      {"num_hidden_layers", 1e300, "num_hidden_layers"},
      {"num_hidden_layers", "2", "is \"2\""},
      {"hidden_size", -64, "hidden_size"},
      {"hidden_size", std::uint64_t{1} << 63, "hidden_size"},
      {"hidden_size", 66, "num_heads is 4, expected a divisor"},
      {"num_attention_heads", json::array({4}), "num_attention_heads"},
      {"num_key_value_heads", 3, "num_kv_heads is 3, expected a divisor"},
      {"head_dim", 15, "rope_dims is 15, expected an even number"},
      {"vocab_size", 1 << 27, "vocab_size"},
      {"rms_norm_eps", "small", "rms_norm_eps"},
      {"rms_norm_eps", -1, "rms_norm_eps"},
      {"rope_theta", 0, "rope_theta"},
      {"tie_word_embeddings", 1, "expected true or false"},
      {"eos_token_id", 256, "end token 256"},
      {"eos_token_id", json::array({1, "x"}), "end_tokens"},
      {"max_position_embeddings", 0, "max_position_embeddings"},
      {"rope_scaling", {{"type", "linear"}, {"factor", -2}}, "rope_scaling/factor"},
      {"hidden_act", "relu", "\"relu\" is not supported", true},
      {"partial_rotary_factor", 0.5, "rotated in part", true},
      {"quantization_config", json::object(), "quantised by other means", true},
      {"model_type", "gpt2", "model_type gpt2 is not supported, known are llama", true},
      {"model_type", nullptr, "no key model_type"},
  };
  for (const Case& row : table) {
    CAPTURE(row.key, row.value.dump());
    json config = LlamaConfig();
    config[row.key] = row.value;
    const absl::Status status = SpecOf(FakeCheckpoint(false, config)).status();
    INFO(std::string(status.message()));
    CHECK(status.code() == (row.unimplemented ? absl::StatusCode::kUnimplemented
                                              : absl::StatusCode::kInvalidArgument));
    CHECK(std::string(status.message()).find(row.says) != std::string::npos);
    CHECK(std::string(status.message()).find("fake") != std::string::npos);
  }
}

TEST_CASE("slots are found by either name, optional ones only if they are there", "[model][spec]") {
  const auto with_bias = OpenGolden("llama-bias");
  const auto family = Family::For(*with_bias);
  REQUIRE(family.ok());
  const auto bias = family->Find(*with_bias, "gate.bias", 1);
  REQUIRE(bias.ok());
  REQUIRE(bias->has_value());
  CHECK((*bias)->name == "model.layers.1.mlp.gate_proj.bias");

  const auto without = OpenGolden("llama");
  const auto none = family->Find(*without, "gate.bias", 1);
  REQUIRE(none.ok());
  CHECK_FALSE(none->has_value());
  CHECK_FALSE(family->Find(*without, "embedding_norm", 0)->has_value());
  const absl::Status missing = family->Find(*without, "gate", 6).status();
  CHECK(absl::IsNotFound(missing));
  CHECK(std::string(missing.message()).find("model.layers.6.mlp.gate_proj.weight") !=
        std::string::npos);

  const auto gguf = OpenGolden("gguf-mixed");
  const auto query = family->Find(*gguf, "query", 1);
  REQUIRE(query.ok());
  CHECK((*query)->name == "blk.1.attn_q.weight");
  CHECK((*query)->rows == TensorSource::Rows::kRopePermuted);
}

TEST_CASE("BLOOM's tensors are found with and without their prefix", "[model][spec]") {
  for (const std::string name : {"bloom", "bloom-published"}) {
    CAPTURE(name);
    const auto checkpoint = OpenGolden(name);
    const auto family = Family::For(*checkpoint);
    REQUIRE(family.ok());
    const auto value = family->Find(*checkpoint, "value.bias", 0);
    REQUIRE(value.ok());
    CHECK((*value)->rows == TensorSource::Rows::kInterleaved);
    CHECK((*value)->part == 2);
    CHECK((*value)->parts == 3);
    CHECK(checkpoint->Has((*value)->name));
  }
}

TEST_CASE("block ranges are written half-open", "[model][spec]") {
  CHECK(ToString(BlockRange{8, 16}) == "[8, 16)");
  std::ostringstream out;
  out << BlockRange{0, 1};
  CHECK(out.str() == "[0, 1)");
}

}  // namespace
}  // namespace fallow
