#include "model/checked_json.h"

#include <limits>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace fallow {

using nlohmann::json;

absl::StatusOr<json> ParseJsonObject(std::string_view text, const std::string& where) {
  bool too_deep = false;
  std::string repeated;
  std::vector<std::set<std::string>> keys;  // of the objects that are open, by depth
  const auto watch = [&](int depth, json::parse_event_t event, json& value) {
    switch (event) {
      case json::parse_event_t::object_start:
      case json::parse_event_t::array_start:
        if (depth >= kMaxJsonDepth) {
          too_deep = true;
          return false;
        }
        keys.resize(depth);
        keys.emplace_back();
        return true;
      case json::parse_event_t::key:
        keys.resize(depth);
        if (!keys.back().insert(value.get<std::string>()).second) {
          repeated = value.get<std::string>();
        }
        return true;
      default:
        return true;
    }
  };
  json parsed = json::parse(text, watch, /*allow_exceptions=*/false);
  if (too_deep) {
    return absl::DataLossError(
        absl::StrCat(where, ": JSON nested deeper than ", kMaxJsonDepth, " levels"));
  }
  if (!parsed.is_object()) return absl::DataLossError(absl::StrCat(where, ": not a JSON object"));
  if (!repeated.empty()) {
    return absl::DataLossError(absl::StrCat(where, ": key \"", repeated, "\" twice in one object"));
  }
  return parsed;
}

std::optional<std::int64_t> AsInteger(const json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return {};
    return static_cast<std::int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<std::int64_t>();
  return {};
}

}  // namespace fallow
