#include "model/spec_fields.h"

#include <cmath>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "model/checked_json.h"

namespace fallow {
namespace {

using nlohmann::json;

constexpr int kMaxInt = std::numeric_limits<int>::max();
constexpr std::int64_t kMaxPositions = std::int64_t{1} << 32;
constexpr std::size_t kMaxEndTokens = 256;

struct IntegerField {
  const char* name;
  int ModelSpec::*member;
  int least;
  int most;
};

// A field whose least value is 0 may be derived from others: see ReadSpec.
constexpr IntegerField kIntegers[] = {
    {"num_blocks", &ModelSpec::num_blocks, 1, 1 << 14},
    {"hidden_size", &ModelSpec::hidden_size, 1, 1 << 20},
    {"num_heads", &ModelSpec::num_heads, 1, 1 << 14},
    {"num_kv_heads", &ModelSpec::num_kv_heads, 0, 1 << 14},
    {"head_dim", &ModelSpec::head_dim, 0, 1 << 14},
    {"intermediate_size", &ModelSpec::intermediate_size, 1, 1 << 22},
    {"vocab_size", &ModelSpec::vocab_size, 1, 1 << 26},
    {"rope_dims", &ModelSpec::rope_dims, 0, 1 << 14},
    {"sliding_window", &ModelSpec::sliding_window, 0, kMaxInt},
    {"begin_token", &ModelSpec::begin_token, -1, kMaxInt},
    {"pad_token", &ModelSpec::pad_token, -1, kMaxInt},
};

struct BoolField {
  const char* name;
  bool& (*member)(ModelSpec&);
};

constexpr BoolField kBools[] = {
    {"gated", [](ModelSpec& spec) -> bool& { return spec.gated; }},
    {"embedding_norm", [](ModelSpec& spec) -> bool& { return spec.embedding_norm; }},
    {"tied_head", [](ModelSpec& spec) -> bool& { return spec.tied_head; }},
    {"rope_scaling.truncate", [](ModelSpec& spec) -> bool& { return spec.rope_scaling.truncate; }},
};

struct FloatField {
  const char* name;
  float ModelSpec::*member;
  double least;
  double most;
};

constexpr FloatField kFloats[] = {
    {"norm_epsilon", &ModelSpec::norm_epsilon, 0, 1},
    {"attention_scale", &ModelSpec::attention_scale, 0, 1e6},
    {"logit_soft_cap", &ModelSpec::logit_soft_cap, 0, 1e6},
    {"embedding_scale", &ModelSpec::embedding_scale, 1e-6, 1e6},
};

struct ScalingField {
  const char* name;
  double RopeScaling::*member;
  double least;
  double most;
};

constexpr ScalingField kScalings[] = {
    {"rope_scaling.factor", &RopeScaling::factor, 1e-3, 1e6},
    {"rope_scaling.low_freq_factor", &RopeScaling::low_freq_factor, 1e-3, 1e6},
    {"rope_scaling.high_freq_factor", &RopeScaling::high_freq_factor, 1e-3, 1e6},
    {"rope_scaling.beta_fast", &RopeScaling::beta_fast, 1e-3, 1e6},
    {"rope_scaling.beta_slow", &RopeScaling::beta_slow, 1e-3, 1e6},
    {"rope_scaling.attention_factor", &RopeScaling::attention_factor, 0, 1e6},
    {"rope_scaling.mscale", &RopeScaling::mscale, 0, 1e6},
    {"rope_scaling.mscale_all_dim", &RopeScaling::mscale_all_dim, 0, 1e6},
};

template <typename T>
using Names = std::vector<std::pair<std::string, T>>;

const Names<ModelSpec::Norm>& NormNames() {
  static const Names<ModelSpec::Norm> names = {{"rms", ModelSpec::Norm::kRms},
                                               {"layer", ModelSpec::Norm::kLayer}};
  return names;
}

// Hugging Face's names, of which several mean the same.
const Names<ModelSpec::Activation>& ActivationNames() {
  using enum ModelSpec::Activation;
  static const Names<ModelSpec::Activation> names = {
      {"silu", kSilu},          {"swish", kSilu},         {"gelu", kGeluErf},
      {"gelu_new", kGeluTanh},  {"gelu_fast", kGeluTanh}, {"gelu_pytorch_tanh", kGeluTanh},
      {"gelu_tanh", kGeluTanh},
  };
  return names;
}

const Names<ModelSpec::Position>& PositionNames() {
  static const Names<ModelSpec::Position> names = {{"rope", ModelSpec::Position::kRope},
                                                   {"alibi", ModelSpec::Position::kAlibi}};
  return names;
}

const Names<RopeScaling::Kind>& ScalingNames() {
  using enum RopeScaling::Kind;
  static const Names<RopeScaling::Kind> names = {
      {"none", kNone},       {"default", kNone},  {"linear", kLinear},
      {"dynamic", kDynamic}, {"llama3", kLlama3}, {"yarn", kYarn},
  };
  return names;
}

// Where a value is to go, for errors.
struct Place {
  const std::string& path;
  const FieldValue& value;

  absl::Status Absurd(const std::string& expectation) const {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", value.origin, " is ", Text(), ", expected ", expectation));
  }
  absl::Status Unknown() const {
    return absl::UnimplementedError(
        absl::StrCat(path, ": ", value.origin, ": ", Text(), " is not supported"));
  }
  std::string Text() const {
    return value.value.dump(-1, ' ', false, json::error_handler_t::replace).substr(0, 100);
  }
};

absl::StatusOr<std::int64_t> Integer(const Place& place, std::int64_t least, std::int64_t most) {
  const std::optional<std::int64_t> number = AsInteger(place.value.value);
  if (!number || *number < least || *number > most) {
    return place.Absurd(absl::StrCat("an integer from ", least, " to ", most));
  }
  return *number;
}

absl::StatusOr<double> Real(const Place& place, double least, double most) {
  const json& value = place.value.value;
  const double number = value.is_number() ? value.get<double>() : std::nan("");
  if (!(number >= least && number <= most)) {
    return place.Absurd(absl::StrCat("a number from ", least, " to ", most));
  }
  return number;
}

template <typename T>
absl::Status SetNamed(const Place& place, const Names<T>& names, T& out) {
  for (const auto& [name, value] : names) {
    if (place.value.value == name) {
      out = value;
      return absl::OkStatus();
    }
  }
  return place.Unknown();
}

absl::Status SetEndTokens(const Place& place, ModelSpec& spec) {
  const json& value = place.value.value;
  const json list = value.is_array() ? value : json::array({value});
  if (list.size() > kMaxEndTokens) return place.Absurd("a token id or a short list of them");
  spec.end_tokens.clear();
  for (const json& token : list) {
    const FieldValue element{token, place.value.origin};
    FALLOW_ASSIGN_OR_RETURN(const std::int64_t id, Integer({place.path, element}, 0, kMaxInt));
    spec.end_tokens.push_back(static_cast<TokenId>(id));
  }
  return absl::OkStatus();
}

// What is neither in a table nor a plain number.
absl::Status SetOther(const Place& place, const std::string& field, ModelSpec& spec) {
  if (field == "norm") return SetNamed(place, NormNames(), spec.norm);
  if (field == "activation") return SetNamed(place, ActivationNames(), spec.activation);
  if (field == "position") return SetNamed(place, PositionNames(), spec.position);
  if (field == "rope_scaling.kind") return SetNamed(place, ScalingNames(), spec.rope_scaling.kind);
  if (field == "end_tokens") return SetEndTokens(place, spec);
  if (field == "max_positions") {
    FALLOW_ASSIGN_OR_RETURN(spec.max_positions, Integer(place, 1, kMaxPositions));
    return absl::OkStatus();
  }
  if (field == "rope_scaling.original_max_positions") {
    FALLOW_ASSIGN_OR_RETURN(spec.rope_scaling.original_max_positions,
                            Integer(place, 0, kMaxPositions));
    return absl::OkStatus();
  }
  if (field == "rope_theta") {
    FALLOW_ASSIGN_OR_RETURN(spec.rope_theta, Real(place, 1, 1e15));
    return absl::OkStatus();
  }
  return absl::InternalError(absl::StrCat("family descriptor: no field ", field));
}

}  // namespace

absl::Status SetField(const std::string& path, const std::string& field, const FieldValue& value,
                      ModelSpec& spec) {
  const Place place{path, value};
  for (const IntegerField& known : kIntegers) {
    if (field != known.name) continue;
    FALLOW_ASSIGN_OR_RETURN(const std::int64_t number, Integer(place, known.least, known.most));
    spec.*known.member = static_cast<int>(number);
    return absl::OkStatus();
  }
  for (const FloatField& known : kFloats) {
    if (field != known.name) continue;
    FALLOW_ASSIGN_OR_RETURN(const double number, Real(place, known.least, known.most));
    spec.*known.member = static_cast<float>(number);
    return absl::OkStatus();
  }
  for (const ScalingField& known : kScalings) {
    if (field != known.name) continue;
    FALLOW_ASSIGN_OR_RETURN(spec.rope_scaling.*known.member, Real(place, known.least, known.most));
    return absl::OkStatus();
  }
  for (const BoolField& known : kBools) {
    if (field != known.name) continue;
    if (!value.value.is_boolean()) return place.Absurd("true or false");
    known.member(spec) = value.value.get<bool>();
    return absl::OkStatus();
  }
  return SetOther(place, field, spec);
}

}  // namespace fallow
