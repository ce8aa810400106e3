#include "model/digest_index.h"

#include <filesystem>
#include <utility>

#include "base/platform/file_identity.h"
#include "base/platform/mapped_file.h"
#include "base/platform/pending_file.h"
#include "base/status_macros.h"
#include "model/cache_files.h"
#include "model/checked_json.h"
#include "model/hasher.h"

namespace fallow {
namespace {

using nlohmann::json;

// Raised when digests of the same checkpoint change (digest.cc, families/*.json).
constexpr int kIndexFormat = 1;
constexpr absl::Duration kCoarsestClock = absl::Seconds(2);  // of file systems: FAT's

Digest DigestOf(const std::string& text) {
  Hasher hasher;
  hasher.Add(text);
  return hasher.Finish();
}

json ToJson(const std::string& path, const FileIdentity& file) {
  return {{"path", path},
          {"bytes", file.bytes},
          {"modified", file.modified},
          {"changed", file.changed},
          {"inode", file.inode},
          {"device", file.device}};
}

std::string Dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string Absolute(const std::string& path) {
  std::error_code error;
  const auto absolute = std::filesystem::weakly_canonical(path, error);
  return error ? path : absolute.string();
}

// {"check": the digest of the entry's text, "entry": ...}; null if it is not that.
json ReadEntry(const std::string& path) {
  const auto file = MappedFile::Open(path);
  if (!file.ok()) return {};
  const auto bytes = (*file)->bytes();
  const auto parsed =
      ParseJsonObject({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path);
  if (!parsed.ok() || !parsed->contains("check") || !parsed->contains("entry")) return {};
  const json& entry = parsed->at("entry");
  return parsed->at("check") == json(Hex(DigestOf(Dump(entry)))) ? entry : json();
}

}  // namespace

DigestIndex DigestIndex::Open(const std::string& directory, const Checkpoint& checkpoint,
                              const Digest& manifest, absl::Time now) {
  DigestIndex index;
  json files = json::array();
  for (const std::string& path : checkpoint.files()) {
    const auto identity = IdentifyFile(path);
    if (absl::IsNotFound(identity.status())) continue;  // a shard that nobody here needs
    const bool settled =
        identity.ok() && absl::FromUnixNanos(identity->changed) < now - kCoarsestClock;
    if (!settled) return index;
    files.push_back(ToJson(Absolute(path), *identity));
  }
  index.path_ = DigestsPath(directory, DigestOf(Absolute(checkpoint.path())));
  index.entry_ = {{"format", kIndexFormat},
                  {"manifest", Hex(manifest)},
                  {"files", std::move(files)},
                  {"digests", json::object()}};
  const json known = ReadEntry(index.path_);
  if (!known.is_object() || !known.contains("digests")) return index;
  json same = known;
  same["digests"] = json::object();
  if (same == index.entry_) index.entry_ = known;
  return index;
}

absl::StatusOr<Digest> DigestIndex::Get(const std::string& part,
                                        absl::FunctionRef<absl::StatusOr<Digest>()> compute) {
  if (path_.empty()) return compute();
  json& digests = entry_["digests"];
  if (const auto known = digests.find(part); known != digests.end() && known->is_string()) {
    if (const auto digest = DigestFromHex(known->get<std::string>())) return *digest;
  }
  FALLOW_ASSIGN_OR_RETURN(const Digest digest, compute());
  digests[part] = Hex(digest);
  changed_ = true;
  return digest;
}

void DigestIndex::Save() const {
  if (!changed_) return;
  const std::string text = Dump({{"check", Hex(DigestOf(Dump(entry_)))}, {"entry", entry_}});
  const auto file = PendingFile::Create(path_);
  if (!file.ok()) return;
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  if ((*file)->Write(0, bytes).ok()) (*file)->Publish().IgnoreError();
}

}  // namespace fallow
