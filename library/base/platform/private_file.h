// Small files that nobody but their owner may read.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace fallow {

// NotFound if there is none; PermissionDenied if it cannot be read, or others may read or write it;
// DataLoss if it is no plain file or larger than 64 KiB.
absl::StatusOr<std::string> ReadPrivateFile(const std::string& path);

// Writes a file that did not exist (mode 0600), all of it or nothing. AlreadyExists if it does,
// PermissionDenied if it cannot be written.
absl::Status CreatePrivateFile(const std::string& path, std::string_view contents);

}  // namespace fallow
