// What lies in a directory of packed weights, for those who look after it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "model/weights.h"

namespace fallow {

std::string PackedPath(const std::string& directory, const Digest& key);
std::string DigestsPath(const std::string& directory, const Digest& key);

// Notes that a file is used now, as the time of its last change: systems keep that of the last
// reading only roughly.
void MarkUsed(const std::string& path);

// Removes what writers that died left: temporary files that nobody has written to for an hour.
void RemoveLeftovers(const std::string& directory);

struct CacheEntry {
  std::string key;  // 64 hexadecimal digits, of the file's name
  std::string path;
  std::int64_t bytes = 0;
  absl::Time last_used;
  absl::Status status;  // of its header; if it is not OK, the rest is empty
  std::string model;    // its manifest's digest
  std::string checkpoint;
  std::string part;
  std::string types;  // of the matrices: "q4_1", "q4_1+q8"
};

// By checkpoint, model and part. Files of other names are left out. NotFound if there is no such
// directory.
absl::StatusOr<std::vector<CacheEntry>> ListCache(const std::string& directory);

// Reads all of an entry's file: DataLoss if it is damaged.
absl::Status VerifyEntry(const CacheEntry& entry);

// Processes that use the file keep it until they end.
absl::Status RemoveEntry(const CacheEntry& entry);

// Removes everything that the library has put there, and nothing else. The files removed.
absl::StatusOr<std::int64_t> ClearCache(const std::string& directory);

}  // namespace fallow
