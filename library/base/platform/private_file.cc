#include "base/platform/private_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace fallow {
namespace {

constexpr std::size_t kMaxBytes = 64 << 10;

// Closes a file descriptor at the end.
class OpenFile {
 public:
  explicit OpenFile(int descriptor) : descriptor_(descriptor) {}
  ~OpenFile() {
    if (descriptor_ >= 0) {
      close(descriptor_);
    }
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  bool ok() const { return descriptor_ >= 0; }
  int get() const { return descriptor_; }

 private:
  const int descriptor_;
};

absl::Status FileError(absl::StatusCode code, const std::string& path, const std::string& what) {
  return absl::Status(code, path + ": " + what);
}

absl::Status SystemError(const std::string& path, int error) {
  const absl::StatusCode code = error == ENOENT   ? absl::StatusCode::kNotFound
                                : error == EEXIST ? absl::StatusCode::kAlreadyExists
                                                  : absl::StatusCode::kPermissionDenied;
  return FileError(code, path, std::strerror(error));
}

absl::Status CheckPrivate(const OpenFile& file, const std::string& path) {
  struct stat about;
  if (fstat(file.get(), &about) != 0) {
    return SystemError(path, errno);
  }
  if (!S_ISREG(about.st_mode)) {
    return FileError(absl::StatusCode::kDataLoss, path, "not a plain file");
  }
  if ((about.st_mode & 077) != 0) {
    return FileError(absl::StatusCode::kPermissionDenied, path,
                     "others may read or write it, expected mode 0600");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadAll(const OpenFile& file, const std::string& path) {
  std::string contents(kMaxBytes + 1, '\0');
  std::size_t size = 0;
  while (size < contents.size()) {
    const ssize_t got = read(file.get(), contents.data() + size, contents.size() - size);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return SystemError(path, errno);
    }
    if (got == 0) {
      contents.resize(size);
      return contents;
    }
    size += static_cast<std::size_t>(got);
  }
  return FileError(absl::StatusCode::kDataLoss, path, "larger than 64 KiB");
}

bool WriteAll(const OpenFile& file, std::string_view contents) {
  while (!contents.empty()) {
    const ssize_t written = write(file.get(), contents.data(), contents.size());
    if (written < 0 && errno != EINTR) {
      return false;
    }
    contents.remove_prefix(written > 0 ? static_cast<std::size_t>(written) : 0);
  }
  return fsync(file.get()) == 0;
}

}  // namespace

absl::StatusOr<std::string> ReadPrivateFile(const std::string& path) {
  const OpenFile file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.ok()) {
    return SystemError(path, errno);
  }
  if (absl::Status status = CheckPrivate(file, path); !status.ok()) {
    return status;
  }
  return ReadAll(file, path);
}

absl::Status CreatePrivateFile(const std::string& path, std::string_view contents) {
  std::string temporary = path + ".XXXXXX";
  const OpenFile file(mkostemp(temporary.data(), O_CLOEXEC));  // mode 0600
  if (!file.ok()) {
    // The folder is missing, or may not be written to: not that the file is.
    return FileError(absl::StatusCode::kPermissionDenied, path, std::strerror(errno));
  }
  // A link appears whole and, unlike a renamed file, replaces nothing.
  const bool made = WriteAll(file, contents) && link(temporary.c_str(), path.c_str()) == 0;
  const int error = errno;
  unlink(temporary.c_str());
  return made ? absl::OkStatus() : SystemError(path, error);
}

}  // namespace fallow
