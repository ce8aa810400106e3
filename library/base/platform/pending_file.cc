#include "base/platform/pending_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"

namespace fallow {
namespace {

constexpr std::string_view kSuffix = ".XXXXXX";  // as mkostemp fills it

absl::Status Failed(const char* call, const std::string& path, int error) {
  return absl::ErrnoToStatus(error, absl::StrCat(path, ": ", call));
}

}  // namespace

absl::StatusOr<std::unique_ptr<PendingFile>> PendingFile::Create(const std::string& path) {
  std::string temporary = path + std::string(kSuffix);
  const int descriptor = mkostemp(temporary.data(), O_CLOEXEC);  // mode 0600
  if (descriptor < 0) return Failed("mkostemp", path, errno);
  return std::unique_ptr<PendingFile>(new PendingFile(path, std::move(temporary), descriptor));
}

PendingFile::PendingFile(std::string path, std::string temporary, int descriptor)
    : path_(std::move(path)), temporary_(std::move(temporary)), descriptor_(descriptor) {}

PendingFile::~PendingFile() {
  if (!published_) unlink(temporary_.c_str());
  close(descriptor_);
}

absl::Status PendingFile::Write(std::int64_t offset, std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = pwrite(descriptor_, bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failed("write", path_, errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += written;
  }
  return absl::OkStatus();
}

absl::Status PendingFile::Publish() {
  if (fsync(descriptor_) != 0) return Failed("fsync", path_, errno);
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) return Failed("rename", path_, errno);
  published_ = true;
  return absl::OkStatus();
}

bool IsTemporaryOf(const std::string& path, const std::string& other) {
  return other.size() == path.size() + kSuffix.size() && other.starts_with(path) &&
         other[path.size()] == '.';
}

}  // namespace fallow
