#include "spec.h"

#include <pybind11/stl.h>

namespace fallow::python {
namespace {

namespace py = pybind11;

const char* Name(ModelSpec::Norm norm) { return norm == ModelSpec::Norm::kRms ? "rms" : "layer"; }

const char* Name(ModelSpec::Activation activation) {
  switch (activation) {
    case ModelSpec::Activation::kSilu:
      return "silu";
    case ModelSpec::Activation::kGeluTanh:
      return "gelu_tanh";
    case ModelSpec::Activation::kGeluErf:
      return "gelu_erf";
  }
  return "";
}

const char* Name(ModelSpec::Position position) {
  return position == ModelSpec::Position::kRope ? "rope" : "alibi";
}

const char* Name(RopeScaling::Kind kind) {
  switch (kind) {
    case RopeScaling::Kind::kNone:
      return "none";
    case RopeScaling::Kind::kLinear:
      return "linear";
    case RopeScaling::Kind::kDynamic:
      return "dynamic";
    case RopeScaling::Kind::kLlama3:
      return "llama3";
    case RopeScaling::Kind::kYarn:
      return "yarn";
  }
  return "";
}

py::dict RopeScalingToPython(const RopeScaling& scaling) {
  py::dict result;
  result["kind"] = Name(scaling.kind);
  result["factor"] = scaling.factor;
  result["original_max_positions"] = scaling.original_max_positions;
  result["low_freq_factor"] = scaling.low_freq_factor;
  result["high_freq_factor"] = scaling.high_freq_factor;
  result["beta_fast"] = scaling.beta_fast;
  result["beta_slow"] = scaling.beta_slow;
  result["truncate"] = scaling.truncate;
  result["attention_factor"] = scaling.attention_factor;
  result["mscale"] = scaling.mscale;
  result["mscale_all_dim"] = scaling.mscale_all_dim;
  return result;
}

}  // namespace

py::dict SpecToPython(const ModelSpec& spec) {
  py::dict result;
  result["family"] = spec.family;
  result["num_blocks"] = spec.num_blocks;
  result["hidden_size"] = spec.hidden_size;
  result["num_heads"] = spec.num_heads;
  result["num_kv_heads"] = spec.num_kv_heads;
  result["head_dim"] = spec.head_dim;
  result["intermediate_size"] = spec.intermediate_size;
  result["vocab_size"] = spec.vocab_size;
  result["max_positions"] = spec.max_positions;
  result["norm"] = Name(spec.norm);
  result["norm_epsilon"] = spec.norm_epsilon;
  result["activation"] = Name(spec.activation);
  result["gated"] = spec.gated;
  result["position"] = Name(spec.position);
  result["rope_theta"] = spec.rope_theta;
  result["rope_dims"] = spec.rope_dims;
  result["rope_scaling"] = RopeScalingToPython(spec.rope_scaling);
  result["sliding_window"] = spec.sliding_window;
  result["attention_scale"] = spec.attention_scale;
  result["logit_soft_cap"] = spec.logit_soft_cap;
  result["embedding_scale"] = spec.embedding_scale;
  result["embedding_norm"] = spec.embedding_norm;
  result["tied_head"] = spec.tied_head;
  result["end_tokens"] = spec.end_tokens;
  result["begin_token"] = spec.begin_token;
  result["pad_token"] = spec.pad_token;
  return result;
}

}  // namespace fallow::python
