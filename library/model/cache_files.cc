#include "model/cache_files.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/platform/pending_file.h"
#include "base/status_macros.h"
#include "model/packed_file.h"

namespace fallow {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kWeights = ".weights";
constexpr std::string_view kDigests = ".digests";
constexpr std::size_t kKeyDigits = 64;
constexpr auto kDeadWriter = std::chrono::hours(1);  // longer than a write to any disk takes

std::string PathOf(const std::string& directory, const Digest& key, std::string_view suffix) {
  return (fs::path(directory) / absl::StrCat(Hex(key), std::string(suffix))).string();
}

// The key, if `name` is that of a file of ours.
std::optional<std::string> KeyOf(const std::string& name, std::string_view suffix) {
  const std::string key = name.substr(0, kKeyDigits);
  if (!DigestFromHex(key) || name != key + std::string(suffix)) return std::nullopt;
  return key;
}

bool IsTemporary(const std::string& name) {
  const std::string key = name.substr(0, kKeyDigits);
  if (!DigestFromHex(key)) return false;
  return IsTemporaryOf(key + std::string(kWeights), name) ||
         IsTemporaryOf(key + std::string(kDigests), name);
}

absl::StatusOr<std::vector<fs::directory_entry>> FilesIn(const std::string& directory) {
  std::error_code error;
  std::vector<fs::directory_entry> files;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    files.push_back(*at);
  }
  if (!error) return files;
  return absl::ErrnoToStatus(error.value(), directory);
}

absl::Time ToTime(fs::file_time_type time) {
  return absl::FromChrono(std::chrono::time_point_cast<std::chrono::system_clock::duration>(
      std::chrono::file_clock::to_sys(time)));
}

std::string TypesOf(const std::vector<PackedTensor>& tensors) {
  std::vector<std::string> names;
  for (const PackedTensor& tensor : tensors) {
    if (!tensor.type) continue;
    const std::string name(Name(*tensor.type));
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  std::string types;
  for (const std::string& name : names) absl::StrAppend(&types, types.empty() ? "" : "+", name);
  return types;
}

CacheEntry Describe(const fs::directory_entry& file, std::string key) {
  std::error_code gone;  // another process may remove it now
  CacheEntry entry{.key = std::move(key),
                   .path = file.path().string(),
                   .last_used = ToTime(file.last_write_time(gone))};
  const auto opened = PackedFile::Open(entry.path);
  entry.status = opened.status();
  if (!opened.ok()) {
    const std::uintmax_t bytes = file.file_size(gone);
    entry.bytes = gone ? 0 : static_cast<std::int64_t>(bytes);
    return entry;
  }
  const PackedHeader& header = (*opened)->header();
  if (Hex(header.key) != entry.key) {
    entry.status = absl::DataLossError(absl::StrCat(entry.path, ": named by another key"));
  }
  entry.bytes = (*opened)->bytes();
  entry.model = Hex(header.model);
  entry.checkpoint = header.checkpoint;
  entry.part = header.part;
  entry.types = TypesOf(header.tensors);
  return entry;
}

// "block 10" comes after "block 9".
auto Order(const CacheEntry& entry) {
  return std::make_tuple(entry.checkpoint, entry.model, entry.part.size(), entry.part, entry.key);
}

}  // namespace

std::string PackedPath(const std::string& directory, const Digest& key) {
  return PathOf(directory, key, kWeights);
}

std::string DigestsPath(const std::string& directory, const Digest& key) {
  return PathOf(directory, key, kDigests);
}

void MarkUsed(const std::string& path) {
  std::error_code read_only;  // then the file's age says less
  fs::last_write_time(path, fs::file_time_type::clock::now(), read_only);
}

void RemoveLeftovers(const std::string& directory) {
  const auto files = FilesIn(directory);
  if (!files.ok()) return;
  const auto limit = fs::file_time_type::clock::now() - kDeadWriter;
  for (const fs::directory_entry& file : *files) {
    std::error_code gone;
    if (!IsTemporary(file.path().filename().string())) continue;
    const auto written = file.last_write_time(gone);
    if (!gone && written < limit) fs::remove(file.path(), gone);
  }
}

absl::StatusOr<std::vector<CacheEntry>> ListCache(const std::string& directory) {
  FALLOW_ASSIGN_OR_RETURN(const auto files, FilesIn(directory));
  std::vector<CacheEntry> entries;
  for (const fs::directory_entry& file : files) {
    std::optional<std::string> key = KeyOf(file.path().filename().string(), kWeights);
    if (key) entries.push_back(Describe(file, *std::move(key)));
  }
  std::sort(entries.begin(), entries.end(),
            [](const CacheEntry& a, const CacheEntry& b) { return Order(a) < Order(b); });
  return entries;
}

absl::Status VerifyEntry(const CacheEntry& entry) {
  FALLOW_RETURN_IF_ERROR(entry.status);
  FALLOW_ASSIGN_OR_RETURN(const auto file, PackedFile::Open(entry.path));
  return file->CheckContents();
}

absl::Status RemoveEntry(const CacheEntry& entry) {
  std::error_code error;
  fs::remove(entry.path, error);
  return error ? absl::ErrnoToStatus(error.value(), entry.path) : absl::OkStatus();
}

absl::StatusOr<std::int64_t> ClearCache(const std::string& directory) {
  FALLOW_ASSIGN_OR_RETURN(const auto files, FilesIn(directory));
  std::int64_t removed = 0;
  for (const fs::directory_entry& file : files) {
    const std::string name = file.path().filename().string();
    if (!KeyOf(name, kWeights) && !KeyOf(name, kDigests) && !IsTemporary(name)) continue;
    std::error_code error;
    removed += fs::remove(file.path(), error);
    if (error) return absl::ErrnoToStatus(error.value(), file.path().string());
  }
  return removed;
}

}  // namespace fallow
