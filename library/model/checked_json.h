// JSON from files that are not trusted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace fallow {

inline constexpr int kMaxJsonDepth = 32;  // objects and arrays within one another

// An object. DataLoss names `where` if the text is something else, repeats a key or nests deeper
// than kMaxJsonDepth.
absl::StatusOr<nlohmann::json> ParseJsonObject(std::string_view text, const std::string& where);

// The number if `value` is an integer that fits.
std::optional<std::int64_t> AsInteger(const nlohmann::json& value);

}  // namespace fallow
