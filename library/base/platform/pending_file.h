// Files that appear whole or not at all.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace fallow {

// A file that is being written under a temporary name in the folder of `path`, and removed unless
// it is published. Only a crash leaves the temporary file, whose name IsTemporaryOf() knows.
class PendingFile {
 public:
  // Readable and writable by its owner alone. NotFound if there is no such folder, PermissionDenied
  // if it cannot be written to.
  static absl::StatusOr<std::unique_ptr<PendingFile>> Create(const std::string& path);
  ~PendingFile();
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;

  // ResourceExhausted if the disk is full.
  absl::Status Write(std::int64_t offset, std::span<const std::uint8_t> bytes);

  // Waits until all of it is on the disk, then gives it its name, in place of what had that name.
  // Who has mapped the older file keeps it.
  absl::Status Publish();

 private:
  PendingFile(std::string path, std::string temporary, int descriptor);

  const std::string path_;
  const std::string temporary_;
  const int descriptor_;
  bool published_ = false;
};

// Whether a PendingFile of `path` could have the name `other`.
bool IsTemporaryOf(const std::string& path, const std::string& other);

}  // namespace fallow
