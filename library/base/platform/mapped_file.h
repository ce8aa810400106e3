// A file's bytes as memory.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/statusor.h"

namespace fallow {

// A regular file mapped read-only: pages are read when they are first touched, so a large file
// costs nothing until then. The file must not be shortened while it is mapped (reading beyond its
// new end would end the process). Any thread may read.
class MappedFile {
 public:
  // NotFound, PermissionDenied, InvalidArgument (a folder, a device), each naming the path.
  static absl::StatusOr<std::unique_ptr<MappedFile>> Open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  std::span<const std::uint8_t> bytes() const { return bytes_; }

  // Begins to read all of the file, for whoever will need it soon. Does not wait.
  void ReadAhead() const;

 private:
  MappedFile(std::string path, std::span<const std::uint8_t> bytes);

  std::string path_;
  std::span<const std::uint8_t> bytes_;
};

}  // namespace fallow
