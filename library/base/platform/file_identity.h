// What tells whether a file has changed, without reading it.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace fallow {

// Equal only for one file that was not written to, replaced or renamed between the two looks: the
// system notes the last change, and lets nobody set that time. A change within the clock's last
// tick before a look may be missed, as may those of a file system that keeps coarser times.
struct FileIdentity {
  std::int64_t bytes = 0;
  std::int64_t modified = 0;  // nanoseconds since 1970: the contents
  std::int64_t changed = 0;   // the same: the contents, the name or the permissions
  std::uint64_t inode = 0;
  std::uint64_t device = 0;

  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

// NotFound, PermissionDenied, each naming the path. Follows links.
absl::StatusOr<FileIdentity> IdentifyFile(const std::string& path);

}  // namespace fallow
