// Safetensors: named tensors in one file or several, beside a config.json.
//
// A file is a 64-bit length, a JSON header of that length and the tensors' bytes, without holes:
//   {"<name>": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [begin, end]}, "__metadata__": …}
// Source: https://github.com/huggingface/safetensors
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/platform/mapped_file.h"
#include "model/checkpoint.h"

namespace fallow {

struct SafetensorsEntry {
  std::string dtype;
  std::optional<StoredType> type;  // none: a type that is not supported
  std::vector<std::int64_t> shape;
  std::span<const std::uint8_t> bytes;
};
using SafetensorsEntries = std::map<std::string, SafetensorsEntry, std::less<>>;

// The tensors of a whole file's bytes; they point into `file`. DataLoss names `where`.
absl::StatusOr<SafetensorsEntries> ParseSafetensors(std::span<const std::uint8_t> file,
                                                    const std::string& where);

class SafetensorsFile {
 public:
  static absl::StatusOr<std::unique_ptr<SafetensorsFile>> Open(const std::string& path);

  const SafetensorsEntries& entries() const { return entries_; }
  absl::StatusOr<StoredTensor> Find(std::string_view name) const;

 private:
  std::unique_ptr<MappedFile> file_;
  SafetensorsEntries entries_;
};

// A directory with config.json and model.safetensors, or model.safetensors.index.json and shards.
// A shard is opened when the first of its tensors is asked for.
absl::StatusOr<std::unique_ptr<Checkpoint>> OpenSafetensors(const std::string& directory);

}  // namespace fallow
