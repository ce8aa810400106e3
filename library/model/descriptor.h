// What a family's descriptor says about one checkpoint's configuration.
//
// A configuration key has a "$" before it and "/" between nested ones: "$rope_scaling/factor".
// `read` gives each field a list of candidates, of which the first that there is counts:
//   "$key"                          the key's value, unless null
//   {"key": "$key", "times": 4}     its integer multiplied
//   {"key": "$key", "if_null": 0}   its value, or this one where it is null
//   {"all": ["$a", "$b"]}           a list of those that there are
//   {"rows_of": "tensor"}           the rows of a tensor
//   anything else                   itself
// `when` is a list of conditions: "key" with "is", "is_not" or alone (it is there), "gguf", "has"
// and "lacks" (a tensor); if all hold, "set" changes fields, "refuse" says what is not supported,
// and "llama3_factors" names a tensor of rotation factors.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "model/checkpoint.h"

namespace fallow {

// A field's value and where it comes from: "num_heads (key num_attention_heads)".
struct FieldValue {
  nlohmann::json value;
  std::string origin;
};
using FieldValues = std::map<std::string, FieldValue>;

struct DescribedFields {
  FieldValues fields;
  std::string llama3_factors;  // a tensor's name; empty: none
};

// `fixed`, then `read`, then `when`. InvalidArgument names the keys of a field that has no value,
// Unimplemented what `when` refuses.
absl::StatusOr<DescribedFields> ReadFields(const nlohmann::json& descriptor,
                                           const Checkpoint& checkpoint);

// The value of a key ("$a/b") in a configuration; null pointer where it is absent.
const nlohmann::json* LookUp(const nlohmann::json& config, const std::string& key);

}  // namespace fallow
