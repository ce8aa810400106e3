// GGUF's metadata values as JSON.
#pragma once

#include "absl/status/statusor.h"
#include "model/gguf_cursor.h"
#include "nlohmann/json.hpp"

namespace fallow {

// Reads a value: its type's number, then its bytes. An array of more than `longest` elements is
// passed over, and the result is of the type `discarded`.
absl::StatusOr<nlohmann::json> ReadGgufValue(GgufCursor& cursor, std::uint64_t longest);

}  // namespace fallow
