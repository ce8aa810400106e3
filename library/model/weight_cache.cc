#include "model/weight_cache.h"

#include <cstdlib>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "model/cache_files.h"
#include "model/hasher.h"
#include "model/packed_writer.h"
#include "model/stored_rows.h"

namespace fallow {
namespace {

namespace fs = std::filesystem;

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// What the part's file is to hold, known from the checkpoint's list of tensors alone.
absl::StatusOr<std::vector<PackedTensor>> TensorsOf(const Part& part,
                                                    const SlotReader::Source& source) {
  std::vector<PackedTensor> tensors;
  for (const char* const suffix : {"", ".bias"}) {
    for (const std::string& base : part.slots) {
      const std::string slot = base + suffix;
      FALLOW_ASSIGN_OR_RETURN(const std::optional<TensorSource> place,
                              source.family.Find(source.checkpoint, slot, part.block));
      if (!place) continue;
      FALLOW_ASSIGN_OR_RETURN(const SlotShape shape, ShapeOf(source.spec, slot));
      FALLOW_ASSIGN_OR_RETURN(const StoredTensor stored, source.checkpoint.Find(place->name));
      PackedTensor tensor{.slot = slot, .type = {}, .rows = shape.rows, .cols = shape.cols};
      if (shape.cols > 1) tensor.type = KeptAs(source.numeric_class, stored.type);
      tensors.push_back(std::move(tensor));
    }
  }
  PlaceTensors(tensors);
  return tensors;
}

// Of all that a file's bytes depend on: what is stored, to what it is converted, how it is packed.
Digest KeyOf(const Digest& part, const std::vector<PackedTensor>& tensors,
             const SlotReader::Source& source) {
  Hasher hasher;
  hasher.Add(kPackedFormat);
  hasher.Add(source.backend.layout());
  hasher.Add(part);
  hasher.Add(source.spec.head_dim);  // by which rows are reordered
  for (const PackedTensor& tensor : tensors) {
    hasher.Add(tensor.slot);
    hasher.Add(tensor.type ? Name(*tensor.type) : "");
    hasher.Add(tensor.rows);
    hasher.Add(tensor.cols);
  }
  return hasher.Finish();
}

// A cache line, to which packed weights are aligned.
struct alignas(64) Line {
  std::uint8_t bytes[64];
};

absl::Status AddMatrix(const PackedTensor& tensor, int block, const SlotReader::Source& source,
                       PackedFileWriter& writer) {
  FALLOW_ASSIGN_OR_RETURN(const WeightRows rows,
                          ReadMatrix(source.checkpoint, source.family, source.spec,
                                     source.numeric_class, tensor.slot, block));
  std::vector<Line> lines(tensor.bytes / sizeof(Line));
  const std::span<std::uint8_t> packed(reinterpret_cast<std::uint8_t*>(lines.data()), tensor.bytes);
  FALLOW_RETURN_IF_ERROR(source.backend.PackTo(rows, packed));
  return writer.Add(packed);
}

absl::Status AddVector(const PackedTensor& tensor, int block, const SlotReader::Source& source,
                       PackedFileWriter& writer) {
  FALLOW_ASSIGN_OR_RETURN(
      const std::vector<float> values,
      ReadVector(source.checkpoint, source.family, source.spec, tensor.slot, block));
  return writer.Add(
      {reinterpret_cast<const std::uint8_t*>(values.data()), values.size() * sizeof(float)});
}

absl::Status Make(const std::string& path, const PackedHeader& header, int block,
                  const SlotReader::Source& source) {
  FALLOW_ASSIGN_OR_RETURN(const auto writer, PackedFileWriter::Create(path, header));
  for (const PackedTensor& tensor : header.tensors) {
    const auto add = tensor.type ? AddMatrix : AddVector;
    FALLOW_RETURN_IF_ERROR(add(tensor, block, source, *writer));
  }
  return writer->Publish();
}

// The file, if it is what its name says. NotFound, DataLoss.
absl::StatusOr<std::shared_ptr<const PackedFile>> OpenChecked(const std::string& path,
                                                              const PackedHeader& expected) {
  FALLOW_ASSIGN_OR_RETURN(auto file, PackedFile::Open(path));
  const PackedHeader& header = file->header();
  if (header.key != expected.key || header.layout != expected.layout ||
      header.tensors != expected.tensors) {
    return absl::DataLossError(absl::StrCat(path, ": holds other weights than its name says"));
  }
  return file;
}

}  // namespace

absl::StatusOr<std::string> CacheDirectory(const std::string& option) {
  if (option != "auto") return option;
  if (const std::string own = Variable("FALLOW_CACHE"); !own.empty()) return own;
  if (const std::string caches = Variable("XDG_CACHE_HOME"); !caches.empty()) {
    return (fs::path(caches) / "fallow").string();
  }
  if (const std::string home = Variable("HOME"); !home.empty()) {
    return (fs::path(home) / ".cache" / "fallow").string();
  }
  return absl::InvalidArgumentError(
      "cache = \"auto\": none of FALLOW_CACHE, XDG_CACHE_HOME and HOME is set; name a directory");
}

absl::StatusOr<std::unique_ptr<WeightCache>> WeightCache::Open(const std::string& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (!error && !fs::is_directory(directory, error) && !error) {
    error = std::make_error_code(std::errc::not_a_directory);
  }
  if (error) return absl::ErrnoToStatus(error.value(), directory);
  RemoveLeftovers(directory);
  return std::unique_ptr<WeightCache>(new WeightCache(directory));
}

PackedModel WeightCache::Get(const Wanted& wanted) {
  PackedModel model;
  for (std::size_t i = 0; i < wanted.blocks.size(); ++i) {
    const Part part = BlockPart(wanted.first_block + static_cast<int>(i));
    model.blocks.push_back(GetPart(part, wanted.blocks[i], wanted));
  }
  const ModelSpec& spec = wanted.source.spec;
  if (wanted.embedding || (wanted.head && spec.tied_head)) {
    model.embedding = GetPart(EmbeddingPart(), wanted.ends, wanted);
  }
  if (wanted.head) model.head = GetPart(HeadPart(spec), wanted.ends, wanted);
  return model;
}

std::shared_ptr<const PackedFile> WeightCache::GetPart(const Part& part, const Digest& digest,
                                                       const Wanted& wanted) {
  auto file = OpenOrMake(part, digest, wanted);
  if (file.ok()) return *std::move(file);
  if (!failed_) {
    Log(LogLevel::kWarning, absl::StrCat("cache: ", std::string(file.status().message()),
                                         "; weights are kept in memory of this process instead"));
  }
  failed_ = true;
  return nullptr;
}

absl::StatusOr<std::shared_ptr<const PackedFile>> WeightCache::OpenOrMake(const Part& part,
                                                                          const Digest& digest,
                                                                          const Wanted& wanted) {
  const SlotReader::Source& source = wanted.source;
  PackedHeader header{.key = {},
                      .model = wanted.manifest,
                      .checkpoint = fs::path(source.checkpoint.path()).filename().string(),
                      .part = part.name,
                      .layout = source.backend.layout(),
                      .contents = {},
                      .tensors = {}};
  FALLOW_ASSIGN_OR_RETURN(header.tensors, TensorsOf(part, source));
  header.key = KeyOf(digest, header.tensors, source);
  const std::string path = PackedPath(directory_, header.key);
  auto file = OpenChecked(path, header);
  if (file.ok()) {
    MarkUsed(path);
    (*file)->ReadAhead();
    return file;
  }
  if (failed_) return file;
  if (!absl::IsNotFound(file.status())) {
    Log(LogLevel::kWarning,
        absl::StrCat("cache: ", std::string(file.status().message()), "; it is made anew"));
  }
  FALLOW_RETURN_IF_ERROR(Make(path, header, part.block, source));
  return OpenChecked(path, header);
}

}  // namespace fallow
