#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/status_macros.h"
#include "model/checked_json.h"
#include "model/safetensors.h"

namespace fallow {
namespace {

using nlohmann::json;

constexpr char kConfig[] = "config.json";
constexpr char kGenerationConfig[] = "generation_config.json";
constexpr char kSingle[] = "model.safetensors";
constexpr char kIndex[] = "model.safetensors.index.json";

std::string Join(const std::string& directory, const std::string& name) {
  return (std::filesystem::path(directory) / name).string();
}

bool Exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

absl::StatusOr<json> ReadJson(const std::string& path) {
  FALLOW_ASSIGN_OR_RETURN(const std::unique_ptr<MappedFile> file, MappedFile::Open(path));
  const std::span<const std::uint8_t> bytes = file->bytes();
  return ParseJsonObject({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path);
}

absl::StatusOr<json> ReadConfig(const std::string& directory) {
  FALLOW_ASSIGN_OR_RETURN(json config, ReadJson(Join(directory, kConfig)));
  const std::string generation = Join(directory, kGenerationConfig);
  if (Exists(generation)) {
    FALLOW_ASSIGN_OR_RETURN(config["generation_config"], ReadJson(generation));
  }
  return config;
}

// A plain name, so that an index cannot lead out of its directory.
bool IsFileName(const std::string& name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
}

struct Index {
  std::map<std::string, std::string, std::less<>> files;  // by tensor
  std::string total_size;                                 // as the index says
};

absl::StatusOr<Index> ReadIndex(const std::string& path) {
  FALLOW_ASSIGN_OR_RETURN(const json parsed, ReadJson(path));
  const auto map = parsed.find("weight_map");
  if (map == parsed.end() || !map->is_object()) {
    return absl::DataLossError(absl::StrCat(path, ": no object weight_map"));
  }
  Index index;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string() || !IsFileName(file.get<std::string>())) {
      return absl::DataLossError(absl::StrCat(path, ": weight_map: tensor ", tensor,
                                              ": expected the name of a file in this directory"));
    }
    index.files[tensor] = file.get<std::string>();
  }
  const auto metadata = parsed.find("metadata");
  if (metadata != parsed.end() && metadata->is_object() && metadata->contains("total_size")) {
    index.total_size = metadata->at("total_size").dump();
  }
  return index;
}

class SafetensorsCheckpoint : public Checkpoint {
 public:
  SafetensorsCheckpoint(std::string path, json config)
      : path_(std::move(path)), config_(std::move(config)) {}

  const json& config() const override { return config_; }
  absl::StatusOr<json> tokenizer() const override { return json::object(); }
  bool is_gguf() const override { return false; }
  const std::string& path() const override { return path_; }

 private:
  const std::string path_;
  const json config_;
};

class SingleFileCheckpoint : public SafetensorsCheckpoint {
 public:
  SingleFileCheckpoint(std::string path, json config, std::unique_ptr<SafetensorsFile> file)
      : SafetensorsCheckpoint(std::move(path), std::move(config)), file_(std::move(file)) {}

  std::vector<std::string> tensor_names() const override {
    std::vector<std::string> names;
    for (const auto& entry : file_->entries()) names.push_back(entry.first);
    return names;
  }

  std::vector<std::string> files() const override { return {Join(path(), kSingle)}; }

  std::string Inventory() const override {
    std::string lines;
    for (const auto& [name, entry] : file_->entries()) {
      absl::StrAppend(&lines, name, " ", entry.dtype, " ", json(entry.shape).dump(), "\n");
    }
    return lines;
  }

  bool Has(std::string_view name) const override { return file_->entries().contains(name); }

  absl::StatusOr<StoredTensor> Find(std::string_view name) const override {
    return file_->Find(name);
  }

 private:
  const std::unique_ptr<SafetensorsFile> file_;
};

class ShardedCheckpoint : public SafetensorsCheckpoint {
 public:
  ShardedCheckpoint(std::string path, json config, Index index)
      : SafetensorsCheckpoint(std::move(path), std::move(config)), index_(std::move(index)) {}

  std::vector<std::string> tensor_names() const override {
    std::vector<std::string> names;
    for (const auto& entry : index_.files) names.push_back(entry.first);
    return names;
  }

  std::vector<std::string> files() const override {
    std::set<std::string> paths;
    for (const auto& entry : index_.files) paths.insert(Join(path(), entry.second));
    return {paths.begin(), paths.end()};
  }

  std::string Inventory() const override {
    std::string lines = absl::StrCat("total_size ", index_.total_size, "\n");
    for (const auto& entry : index_.files) absl::StrAppend(&lines, entry.first, "\n");
    return lines;
  }

  bool Has(std::string_view name) const override { return index_.files.contains(name); }

  absl::StatusOr<StoredTensor> Find(std::string_view name) const override {
    const auto entry = index_.files.find(name);
    if (entry == index_.files.end()) {
      return absl::NotFoundError(absl::StrCat(path(), ": no tensor ", std::string(name)));
    }
    FALLOW_ASSIGN_OR_RETURN(const SafetensorsFile* shard, Shard(entry->second));
    if (!shard->entries().contains(name)) {
      return absl::DataLossError(absl::StrCat(Join(path(), entry->second), ": tensor ",
                                              entry->first, " is missing; ", kIndex,
                                              " says that it is there"));
    }
    return shard->Find(name);
  }

 private:
  absl::StatusOr<const SafetensorsFile*> Shard(const std::string& name) const {
    absl::MutexLock lock(&mutex_);
    std::unique_ptr<SafetensorsFile>& shard = shards_[name];
    if (!shard) {
      FALLOW_ASSIGN_OR_RETURN(shard, SafetensorsFile::Open(Join(path(), name)));
    }
    return shard.get();
  }

  const Index index_;
  mutable absl::Mutex mutex_;
  mutable std::map<std::string, std::unique_ptr<SafetensorsFile>> shards_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenSafetensors(const std::string& directory) {
  FALLOW_ASSIGN_OR_RETURN(json config, ReadConfig(directory));
  if (Exists(Join(directory, kIndex))) {
    FALLOW_ASSIGN_OR_RETURN(Index index, ReadIndex(Join(directory, kIndex)));
    return std::make_unique<ShardedCheckpoint>(directory, std::move(config), std::move(index));
  }
  if (!Exists(Join(directory, kSingle))) {
    return absl::NotFoundError(
        absl::StrCat(directory, ": neither ", kSingle, " nor ", kIndex, " is there"));
  }
  FALLOW_ASSIGN_OR_RETURN(std::unique_ptr<SafetensorsFile> file,
                          SafetensorsFile::Open(Join(directory, kSingle)));
  return std::make_unique<SingleFileCheckpoint>(directory, std::move(config), std::move(file));
}

}  // namespace fallow
