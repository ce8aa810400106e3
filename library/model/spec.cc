#include "model/spec.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "base/status_macros.h"
#include "model/descriptor.h"
#include "model/families.h"
#include "model/rope_factors.h"
#include "model/spec_fields.h"

namespace fallow {
namespace {

using nlohmann::json;

const std::vector<json>& Descriptors() {
  static const std::vector<json> descriptors = [] {
    std::vector<json> parsed;
    for (const std::string_view text : FamilyDescriptors()) parsed.push_back(json::parse(text));
    return parsed;
  }();
  return descriptors;
}

// A descriptor completed by the one that it is like.
json Completed(const json& descriptor) {
  if (!descriptor.contains("like")) return descriptor;
  for (const json& base : Descriptors()) {
    if (base["name"] != descriptor["like"]) continue;
    json merged = base;
    merged.merge_patch(descriptor);
    return merged;
  }
  return descriptor;
}

bool Lists(const json& names, const std::string& name) {
  for (const json& known : names) {
    if (known == name) return true;
  }
  return false;
}

absl::Status Wrong(const Checkpoint& checkpoint, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(checkpoint.path(), ": ", what));
}

// Fills in what other fields give.
absl::Status Derive(const Checkpoint& checkpoint, ModelSpec& spec) {
  if (spec.num_kv_heads == 0) spec.num_kv_heads = spec.num_heads;
  if (spec.num_heads % spec.num_kv_heads != 0) {
    return Wrong(checkpoint, absl::StrCat("num_kv_heads is ", spec.num_kv_heads,
                                          ", expected a divisor of num_heads, ", spec.num_heads));
  }
  if (spec.head_dim == 0) {
    if (spec.hidden_size % spec.num_heads != 0) {
      return Wrong(checkpoint,
                   absl::StrCat("num_heads is ", spec.num_heads,
                                ", expected a divisor of hidden_size, ", spec.hidden_size));
    }
    spec.head_dim = spec.hidden_size / spec.num_heads;
  }
  if (spec.position == ModelSpec::Position::kRope) {
    if (spec.rope_dims == 0) spec.rope_dims = spec.head_dim;
    if (spec.rope_dims > spec.head_dim || spec.rope_dims % 2 != 0) {
      return Wrong(checkpoint,
                   absl::StrCat("rope_dims is ", spec.rope_dims,
                                ", expected an even number up to head_dim, ", spec.head_dim));
    }
  }
  if (spec.attention_scale == 0) {
    spec.attention_scale = static_cast<float>(1 / std::sqrt(static_cast<double>(spec.head_dim)));
  }
  return absl::OkStatus();
}

// max_positions of a configuration is the length before these two kinds of stretching.
void ExtendPositions(ModelSpec& spec) {
  RopeScaling& scaling = spec.rope_scaling;
  if (scaling.kind == RopeScaling::Kind::kNone) {
    scaling = RopeScaling();
    return;
  }
  if (scaling.original_max_positions == 0) scaling.original_max_positions = spec.max_positions;
  if (scaling.kind == RopeScaling::Kind::kLinear || scaling.kind == RopeScaling::Kind::kDynamic) {
    const double extended = static_cast<double>(spec.max_positions) * scaling.factor;
    spec.max_positions = std::max(spec.max_positions, static_cast<std::int64_t>(extended));
  }
}

absl::Status CheckTokens(const Checkpoint& checkpoint, const ModelSpec& spec) {
  for (const TokenId token : spec.end_tokens) {
    if (token >= spec.vocab_size) {
      return Wrong(checkpoint,
                   absl::StrCat("end token ", token, ", expected an id below vocab_size, ",
                                spec.vocab_size));
    }
  }
  return absl::OkStatus();
}

TensorSource::Rows RowsNamed(const std::string& name) {
  if (name == "part") return TensorSource::Rows::kPart;
  if (name == "interleaved") return TensorSource::Rows::kInterleaved;
  if (name == "rope_permuted") return TensorSource::Rows::kRopePermuted;
  return TensorSource::Rows::kAll;
}

TensorSource ParseSource(const json& entry, const std::string& prefix, int block) {
  TensorSource source;
  const json& name = entry.is_object() ? entry["name"] : entry;
  source.name = absl::StrReplaceAll(name.get_ref<const std::string&>(),
                                    {{"{prefix}", prefix}, {"{block}", absl::StrCat(block)}});
  if (entry.is_object()) {
    source.rows = RowsNamed(entry["rows"].get<std::string>());
    source.part = entry.value("part", 0);
    source.parts = entry.value("parts", 1);
  }
  return source;
}

}  // namespace

absl::StatusOr<Family> Family::For(const Checkpoint& checkpoint) {
  const char* key = checkpoint.is_gguf() ? "general.architecture" : "model_type";
  const char* list = checkpoint.is_gguf() ? "architectures" : "model_types";
  const auto found = checkpoint.config().find(key);
  if (found == checkpoint.config().end() || !found->is_string()) {
    return Wrong(checkpoint, absl::StrCat("no key ", key));
  }
  const auto name = found->get<std::string>();
  std::vector<std::string> known;
  for (const json& descriptor : Descriptors()) {
    if (Lists(descriptor[list], name)) return Family(Completed(descriptor));
    for (const json& other : descriptor[list]) known.push_back(other.get<std::string>());
  }
  return absl::UnimplementedError(absl::StrCat(checkpoint.path(), ": ", key, " ", name,
                                               " is not supported, known are ",
                                               absl::StrJoin(known, ", ")));
}

absl::StatusOr<ModelSpec> Family::ReadSpec(const Checkpoint& checkpoint) const {
  FALLOW_ASSIGN_OR_RETURN(const DescribedFields described, ReadFields(descriptor_, checkpoint));
  ModelSpec spec;
  spec.family = descriptor_["name"].get<std::string>();
  for (const auto& [field, value] : described.fields) {
    FALLOW_RETURN_IF_ERROR(SetField(checkpoint.path(), field, value, spec));
  }
  FALLOW_RETURN_IF_ERROR(Derive(checkpoint, spec));
  if (!described.llama3_factors.empty()) {
    FALLOW_ASSIGN_OR_RETURN(spec.rope_scaling,
                            ScalingFromFactors(checkpoint, described.llama3_factors, spec));
  }
  ExtendPositions(spec);
  FALLOW_RETURN_IF_ERROR(CheckTokens(checkpoint, spec));
  return spec;
}

absl::StatusOr<std::optional<TensorSource>> Family::Find(const Checkpoint& checkpoint,
                                                         const std::string& slot, int block) const {
  const json& tensors = descriptor_["tensors"];
  const bool optional = tensors.contains(slot + "?");
  const auto entries = tensors.find(optional ? slot + "?" : slot);
  if (entries == tensors.end()) return std::optional<TensorSource>();
  const json prefixes = descriptor_.value("prefixes", json::array({""}));
  std::vector<std::string> tried;
  for (const json& entry : *entries) {
    for (const json& prefix : prefixes) {
      TensorSource source = ParseSource(entry, prefix.get<std::string>(), block);
      if (checkpoint.Has(source.name)) return std::optional<TensorSource>(std::move(source));
      tried.push_back(std::move(source.name));
    }
  }
  if (optional) return std::optional<TensorSource>();
  return absl::NotFoundError(absl::StrCat(checkpoint.path(), ": no tensor for ", slot,
                                          ", expected one of: ", absl::StrJoin(tried, ", ")));
}

}  // namespace fallow
