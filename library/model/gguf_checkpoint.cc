#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/platform/mapped_file.h"
#include "base/status_macros.h"
#include "model/gguf.h"

namespace fallow {
namespace {

using nlohmann::json;

constexpr char kTokenizerPrefix[] = "tokenizer.";

class GgufCheckpoint : public Checkpoint {
 public:
  GgufCheckpoint(std::unique_ptr<MappedFile> file, GgufContents contents)
      : file_(std::move(file)), contents_(std::move(contents)) {}

  const json& config() const override { return contents_.metadata; }
  bool is_gguf() const override { return true; }
  const std::string& path() const override { return file_->path(); }

  absl::StatusOr<json> tokenizer() const override {
    json tokenizer = json::object();
    for (const auto& [key, value] : contents_.metadata.items()) {
      if (key.starts_with(kTokenizerPrefix)) tokenizer[key] = value;
    }
    for (const auto& [key, place] : contents_.long_arrays) {
      if (!key.starts_with(kTokenizerPrefix)) continue;
      FALLOW_ASSIGN_OR_RETURN(tokenizer[key], ParseGgufArray(file_->bytes(), place, path()));
    }
    return tokenizer;
  }

  std::vector<std::string> tensor_names() const override {
    std::vector<std::string> names;
    for (const auto& tensor : contents_.tensors) names.push_back(tensor.first);
    return names;
  }

  std::vector<std::string> files() const override { return {path()}; }

  std::string Inventory() const override {
    std::string lines;
    for (const auto& [name, entry] : contents_.tensors) {
      absl::StrAppend(&lines, name, " ", GgmlTypeName(entry.type_number), " ",
                      json(entry.shape).dump(), "\n");
    }
    return lines;
  }

  bool Has(std::string_view name) const override { return contents_.tensors.contains(name); }

  absl::StatusOr<StoredTensor> Find(std::string_view name) const override {
    const auto found = contents_.tensors.find(name);
    if (found == contents_.tensors.end()) {
      return absl::NotFoundError(absl::StrCat(path(), ": no tensor ", std::string(name)));
    }
    const GgufEntry& entry = found->second;
    if (!entry.type) {
      return absl::UnimplementedError(absl::StrCat(path(), ": tensor ", found->first, ": type ",
                                                   GgmlTypeName(entry.type_number),
                                                   " is not supported"));
    }
    return StoredTensor{found->first, *entry.type, entry.shape, entry.bytes};
  }

 private:
  const std::unique_ptr<MappedFile> file_;
  const GgufContents contents_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenGguf(const std::string& path) {
  FALLOW_ASSIGN_OR_RETURN(std::unique_ptr<MappedFile> file, MappedFile::Open(path));
  FALLOW_ASSIGN_OR_RETURN(GgufContents contents, ParseGguf(file->bytes(), path));
  return std::make_unique<GgufCheckpoint>(std::move(file), std::move(contents));
}

}  // namespace fallow
