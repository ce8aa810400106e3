#include "model/descriptor.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "model/checked_json.h"

namespace fallow {
namespace {

using nlohmann::json;

bool IsKey(const json& candidate) {
  return candidate.is_string() && candidate.get_ref<const std::string&>().starts_with('$');
}

std::string Bare(const std::string& key) { return key.substr(1); }

// The value of "$key" unless it is absent or null.
std::optional<json> ValueOf(const json& config, const json& key) {
  const json* found = LookUp(config, key.get<std::string>());
  if (found == nullptr || found->is_null()) return std::nullopt;
  return *found;
}

std::optional<json> AllOf(const json& config, const json& keys) {
  json all = json::array();
  for (const json& key : keys) {
    if (const std::optional<json> value = ValueOf(config, key)) all.push_back(*value);
  }
  return all;
}

// The value of a candidate that is an object; none if what it names is absent.
absl::StatusOr<std::optional<json>> Evaluate(const json& candidate, const Checkpoint& checkpoint) {
  const json& config = checkpoint.config();
  if (candidate.contains("all")) return AllOf(config, candidate["all"]);
  if (candidate.contains("rows_of")) {
    const auto name = candidate["rows_of"].get<std::string>();
    if (!checkpoint.Has(name)) return std::optional<json>();
    FALLOW_ASSIGN_OR_RETURN(const StoredTensor tensor, checkpoint.Find(name));
    return std::optional<json>(tensor.shape.empty() ? 0 : tensor.shape.front());
  }
  const auto key = candidate["key"].get<std::string>();
  const json* found = LookUp(config, key);
  if (found == nullptr) return std::optional<json>();
  if (found->is_null()) {
    return candidate.contains("if_null") ? std::optional<json>(candidate["if_null"])
                                         : std::optional<json>();
  }
  if (!candidate.contains("times")) return std::optional<json>(*found);
  const std::optional<std::int64_t> number = AsInteger(*found);
  std::int64_t product = 0;
  if (!number ||
      __builtin_mul_overflow(*number, candidate["times"].get<std::int64_t>(), &product)) {
    return absl::InvalidArgumentError(
        absl::StrCat(checkpoint.path(), ": key ", Bare(key), " is ", found->dump()));
  }
  return std::optional<json>(product);
}

// What a candidate is called in errors.
std::string Describe(const json& candidate) {
  if (IsKey(candidate)) return absl::StrCat("key ", Bare(candidate.get<std::string>()));
  if (!candidate.is_object()) return "by default";
  if (candidate.contains("key")) return Describe(candidate["key"]);
  return candidate.dump();
}

absl::StatusOr<FieldValue> ReadField(const std::string& field, const json& candidates,
                                     const Checkpoint& checkpoint) {
  std::vector<std::string> tried;
  for (const json& candidate : candidates) {
    std::optional<json> value;
    if (IsKey(candidate)) {
      value = ValueOf(checkpoint.config(), candidate);
    } else if (candidate.is_object()) {
      FALLOW_ASSIGN_OR_RETURN(value, Evaluate(candidate, checkpoint));
    } else {
      value = candidate;
    }
    const std::string origin = Describe(candidate);
    if (value) return FieldValue{*std::move(value), absl::StrCat(field, " (", origin, ")")};
    tried.push_back(origin);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      checkpoint.path(), ": no ", field, ", expected one of: ", absl::StrJoin(tried, ", ")));
}

bool Holds(const json& rule, const Checkpoint& checkpoint) {
  if (rule.contains("gguf") && rule["gguf"] != checkpoint.is_gguf()) return false;
  if (rule.contains("has") && !checkpoint.Has(rule["has"].get<std::string>())) return false;
  if (rule.contains("lacks") && checkpoint.Has(rule["lacks"].get<std::string>())) return false;
  if (!rule.contains("key")) return true;
  const std::optional<json> value = ValueOf(checkpoint.config(), rule["key"]);
  if (!value) return false;
  if (rule.contains("is")) return *value == rule["is"];
  if (rule.contains("is_not")) return *value != rule["is_not"];
  return true;
}

std::vector<std::string> Parts(const std::string& key) { return absl::StrSplit(Bare(key), '/'); }

}  // namespace

const json* LookUp(const json& config, const std::string& key) {
  const json* value = &config;
  for (const std::string& part : Parts(key)) {
    if (!value->is_object()) return nullptr;
    const auto found = value->find(part);
    if (found == value->end()) return nullptr;
    value = &*found;
  }
  return value;
}

absl::StatusOr<DescribedFields> ReadFields(const json& descriptor, const Checkpoint& checkpoint) {
  DescribedFields described;
  for (const auto& [field, value] : descriptor["fixed"].items()) {
    described.fields[field] = {value, absl::StrCat(field, " (fixed)")};
  }
  for (const auto& [field, candidates] : descriptor["read"].items()) {
    FALLOW_ASSIGN_OR_RETURN(described.fields[field], ReadField(field, candidates, checkpoint));
  }
  for (const json& rule : descriptor["when"]) {
    if (!Holds(rule, checkpoint)) continue;
    if (rule.contains("refuse")) {
      const std::string reason = rule.contains("key") ? Describe(rule["key"]) : rule["has"].dump();
      return absl::UnimplementedError(absl::StrCat(checkpoint.path(), ": ", reason, ": ",
                                                   rule["refuse"].get<std::string>(),
                                                   ": not supported"));
    }
    if (rule.contains("llama3_factors")) {
      described.llama3_factors = rule["llama3_factors"].get<std::string>();
    }
    if (!rule.contains("set")) continue;
    for (const auto& [field, value] : rule["set"].items()) {
      described.fields[field] = {value, absl::StrCat(field, " (by ", rule.dump(), ")")};
    }
  }
  return described;
}

}  // namespace fallow
