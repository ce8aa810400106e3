#include "model/safetensors.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "model/checked_json.h"
#include "model/stored_type.h"

namespace fallow {
namespace {

using nlohmann::json;

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr std::size_t kLengthBytes = 8;
constexpr char kMetadata[] = "__metadata__";

struct Extent {
  std::int64_t begin;
  std::int64_t end;
  const std::string* name;
};

// Where a tensor's bytes lie, counted from the header's end, and what it is called.
absl::StatusOr<Extent> ParseEntry(const std::string& name, const json& value,
                                  const std::string& where, SafetensorsEntry& entry) {
  const auto damaged = [&](const auto&... what) {
    return absl::DataLossError(absl::StrCat(where, ": tensor ", name, ": ", what...));
  };
  if (!value.is_object()) return damaged("entry is not an object");
  const auto dtype = value.find("dtype");
  if (dtype == value.end() || !dtype->is_string()) return damaged("no dtype");
  entry.dtype = dtype->get<std::string>();
  entry.type = StoredTypeNamed(entry.dtype);
  if (entry.type && IsQuantised(*entry.type)) entry.type.reset();  // a name of GGUF's

  const auto shape = value.find("shape");
  if (shape == value.end() || !shape->is_array()) return damaged("no shape");
  for (const json& size : *shape) {
    const std::optional<std::int64_t> number = AsInteger(size);
    if (!number) return damaged("shape holds ", size.dump(), ", expected integers");
    entry.shape.push_back(*number);
  }
  const std::optional<std::int64_t> elements = CheckedElements(entry.shape);
  if (!elements) return damaged("absurd shape ", shape->dump());

  const auto offsets = value.find("data_offsets");
  if (offsets == value.end() || !offsets->is_array() || offsets->size() != 2) {
    return damaged("no data_offsets of two numbers");
  }
  const std::optional<std::int64_t> begin = AsInteger((*offsets)[0]);
  const std::optional<std::int64_t> end = AsInteger((*offsets)[1]);
  if (!begin || !end || *begin < 0 || *end < *begin) {
    return damaged("data_offsets ", offsets->dump(), ", expected 0 <= begin <= end");
  }
  if (entry.type && *end - *begin != StoredBytes(*entry.type, *elements)) {
    return damaged("data_offsets ", offsets->dump(), ", expected ",
                   StoredBytes(*entry.type, *elements), " bytes for ", entry.dtype, " of shape ",
                   shape->dump());
  }
  return Extent{*begin, *end, &name};
}

// The extents must follow one another from 0 to `size`: then none overlap or lie outside.
absl::Status CheckExtents(std::vector<Extent> extents, std::int64_t size,
                          const std::string& where) {
  std::sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::int64_t expected = 0;
  for (const Extent& extent : extents) {
    if (extent.begin != expected) {
      return absl::DataLossError(absl::StrCat(where, ": tensor ", *extent.name,
                                              ": begins at offset ", extent.begin, ", expected ",
                                              expected, ", the end of the one before"));
    }
    if (extent.end > size) {
      return absl::DataLossError(absl::StrCat(where, ": tensor ", *extent.name, ": ends at offset ",
                                              extent.end, ", but the file holds ", size,
                                              " bytes of tensors"));
    }
    expected = extent.end;
  }
  if (expected != size) {
    return absl::DataLossError(absl::StrCat(where, ": ", size, " bytes after the header, expected ",
                                            expected, " by its tensors"));
  }
  return absl::OkStatus();
}

// The header's text.
absl::StatusOr<std::string_view> Header(std::span<const std::uint8_t> file,
                                        const std::string& where) {
  if (file.size() < kLengthBytes) {
    return absl::DataLossError(
        absl::StrCat(where, ": ", file.size(), " bytes, too short for a safetensors header"));
  }
  std::uint64_t length;
  std::memcpy(&length, file.data(), sizeof(length));
  const std::uint64_t most = std::min<std::uint64_t>(kMaxHeaderBytes, file.size() - kLengthBytes);
  if (length > most) {
    return absl::DataLossError(
        absl::StrCat(where, ": offset 0: header of ", length, " bytes, expected at most ", most));
  }
  return std::string_view(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
}

}  // namespace

absl::StatusOr<SafetensorsEntries> ParseSafetensors(std::span<const std::uint8_t> file,
                                                    const std::string& where) {
  FALLOW_ASSIGN_OR_RETURN(const std::string_view header, Header(file, where));
  FALLOW_ASSIGN_OR_RETURN(const json parsed, ParseJsonObject(header, where));
  const std::span<const std::uint8_t> data = file.subspan(kLengthBytes + header.size());

  SafetensorsEntries entries;
  std::vector<Extent> extents;
  for (const auto& [name, value] : parsed.items()) {
    if (name == kMetadata) continue;
    const auto entry = entries.try_emplace(name).first;
    FALLOW_ASSIGN_OR_RETURN(const Extent extent,
                            ParseEntry(entry->first, value, where, entry->second));
    extents.push_back(extent);
  }
  FALLOW_RETURN_IF_ERROR(CheckExtents(extents, static_cast<std::int64_t>(data.size()), where));
  for (const Extent& extent : extents) {
    entries.find(*extent.name)->second.bytes =
        data.subspan(extent.begin, extent.end - extent.begin);
  }
  return entries;
}

absl::StatusOr<std::unique_ptr<SafetensorsFile>> SafetensorsFile::Open(const std::string& path) {
  auto opened = std::make_unique<SafetensorsFile>();
  FALLOW_ASSIGN_OR_RETURN(opened->file_, MappedFile::Open(path));
  FALLOW_ASSIGN_OR_RETURN(opened->entries_, ParseSafetensors(opened->file_->bytes(), path));
  return opened;
}

absl::StatusOr<StoredTensor> SafetensorsFile::Find(std::string_view name) const {
  const auto entry = entries_.find(name);
  if (entry == entries_.end()) {
    return absl::NotFoundError(absl::StrCat(file_->path(), ": no tensor ", std::string(name)));
  }
  const SafetensorsEntry& found = entry->second;
  if (!found.type) {
    return absl::UnimplementedError(absl::StrCat(file_->path(), ": tensor ", entry->first,
                                                 ": type ", found.dtype, " is not supported"));
  }
  return StoredTensor{entry->first, *found.type, found.shape, found.bytes};
}

}  // namespace fallow
