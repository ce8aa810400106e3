#include "base/platform/file_identity.h"

#include <sys/stat.h>

#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace fallow {
namespace {

std::int64_t Nanoseconds(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

absl::StatusOr<FileIdentity> IdentifyFile(const std::string& path) {
  struct stat about = {};
  if (stat(path.c_str(), &about) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat(path, ": stat"));
  }
  return FileIdentity{.bytes = about.st_size,
                      .modified = Nanoseconds(about.st_mtim),
                      .changed = Nanoseconds(about.st_ctim),
                      .inode = about.st_ino,
                      .device = about.st_dev};
}

}  // namespace fallow
