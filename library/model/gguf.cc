#include "model/gguf.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "model/checked_json.h"
#include "model/gguf_cursor.h"
#include "model/gguf_metadata.h"
#include "model/stored_type.h"

namespace fallow {
namespace {

using nlohmann::json;

constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr std::uint64_t kDefaultAlignment = 32;
constexpr std::uint64_t kMaxAlignment = 1 << 16;
constexpr std::uint32_t kMaxDimensions = 4;  // ggml's
constexpr char kAlignmentKey[] = "general.alignment";

struct GgmlType {
  std::uint32_t number;
  const char* name;
  std::optional<StoredType> type;
};

const GgmlType kGgmlTypes[] = {
    {0, "F32", StoredType::kF32},
    {1, "F16", StoredType::kF16},
    {2, "Q4_0", StoredType::kQ4_0},
    {3, "Q4_1", StoredType::kQ4_1},
    {6, "Q5_0", StoredType::kQ5_0},
    {7, "Q5_1", StoredType::kQ5_1},
    {8, "Q8_0", StoredType::kQ8_0},
    {9, "Q8_1", {}},
    {10, "Q2_K", StoredType::kQ2_K},
    {11, "Q3_K", StoredType::kQ3_K},
    {12, "Q4_K", StoredType::kQ4_K},
    {13, "Q5_K", StoredType::kQ5_K},
    {14, "Q6_K", StoredType::kQ6_K},
    {15, "Q8_K", {}},
    {16, "IQ2_XXS", {}},
    {17, "IQ2_XS", {}},
    {18, "IQ3_XXS", {}},
    {19, "IQ1_S", {}},
    {20, "IQ4_NL", StoredType::kIQ4_NL},
    {21, "IQ3_S", {}},
    {22, "IQ2_S", {}},
    {23, "IQ4_XS", {}},
    {24, "I8", {}},
    {25, "I16", {}},
    {26, "I32", StoredType::kI32},
    {27, "I64", StoredType::kI64},
    {28, "F64", {}},
    {29, "IQ1_M", {}},
    {30, "BF16", StoredType::kBF16},
    {34, "TQ1_0", {}},
    {35, "TQ2_0", {}},
    {39, "MXFP4", {}},
};

const GgmlType* FindGgmlType(std::uint32_t number) {
  const auto* found = std::find_if(std::begin(kGgmlTypes), std::end(kGgmlTypes),
                                   [&](const GgmlType& type) { return type.number == number; });
  return found == std::end(kGgmlTypes) ? nullptr : found;
}

struct Counts {
  std::uint64_t tensors;
  std::uint64_t metadata;
};

absl::StatusOr<Counts> ReadHead(GgufCursor& cursor, const std::string& where) {
  FALLOW_ASSIGN_OR_RETURN(const std::uint32_t magic,
                          cursor.Read<std::uint32_t>("the magic number"));
  if (magic != kMagic)
    return absl::DataLossError(absl::StrCat(where, ": offset 0: not a GGUF file"));
  FALLOW_ASSIGN_OR_RETURN(const std::uint32_t version, cursor.Read<std::uint32_t>("the version"));
  if (version != 2 && version != 3) {
    const bool swapped = version > 0xffff;
    return absl::UnimplementedError(absl::StrCat(
        where, swapped ? ": big-endian GGUF" : absl::StrCat(": GGUF version ", version),
        ", supported are little-endian versions 2 and 3"));
  }
  Counts counts;
  FALLOW_ASSIGN_OR_RETURN(counts.tensors, cursor.Read<std::uint64_t>("the number of tensors"));
  FALLOW_ASSIGN_OR_RETURN(counts.metadata, cursor.Read<std::uint64_t>("the number of keys"));
  return counts;
}

absl::Status ReadMetadata(GgufCursor& cursor, std::uint64_t count, GgufContents& contents) {
  for (std::uint64_t i = 0; i < count; ++i) {
    FALLOW_ASSIGN_OR_RETURN(const std::string_view text, cursor.ReadString("a metadata key"));
    const std::string key(text);
    if (contents.metadata.contains(key) || contents.long_arrays.contains(key)) {
      return cursor.Damaged("metadata key ", key, " twice");
    }
    const std::size_t place = cursor.position();
    FALLOW_ASSIGN_OR_RETURN(json value, ReadGgufValue(cursor, kLongArray));
    if (value.is_discarded()) {
      contents.long_arrays[key] = place;
    } else {
      contents.metadata[key] = std::move(value);
    }
  }
  return absl::OkStatus();
}

absl::Status ReadShape(GgufCursor& cursor, const std::string& name, GgufEntry& entry) {
  FALLOW_ASSIGN_OR_RETURN(const std::uint32_t dimensions,
                          cursor.Read<std::uint32_t>("a tensor's dimensions"));
  if (dimensions > kMaxDimensions) {
    return cursor.Damaged("tensor ", name, ": ", dimensions, " dimensions, expected at most ",
                          kMaxDimensions);
  }
  for (std::uint32_t i = 0; i < dimensions; ++i) {
    FALLOW_ASSIGN_OR_RETURN(const std::uint64_t size,
                            cursor.Read<std::uint64_t>("a tensor's shape"));
    if (size > static_cast<std::uint64_t>(kMaxElements)) {
      return cursor.Damaged("tensor ", name, ": dimension of ", size, ", expected at most ",
                            kMaxElements);
    }
    entry.shape.insert(entry.shape.begin(), static_cast<std::int64_t>(size));
  }
  if (!CheckedElements(entry.shape)) {
    return cursor.Damaged("tensor ", name, ": absurd shape ", json(entry.shape).dump());
  }
  return absl::OkStatus();
}

absl::Status ReadTensor(GgufCursor& cursor, GgufContents& contents) {
  FALLOW_ASSIGN_OR_RETURN(const std::string_view text, cursor.ReadString("a tensor's name"));
  const std::string name(text);
  const auto [position, inserted] = contents.tensors.try_emplace(name);
  if (!inserted) return cursor.Damaged("tensor ", name, " twice");
  GgufEntry& entry = position->second;
  FALLOW_RETURN_IF_ERROR(ReadShape(cursor, name, entry));
  FALLOW_ASSIGN_OR_RETURN(entry.type_number, cursor.Read<std::uint32_t>("a tensor's type"));
  FALLOW_ASSIGN_OR_RETURN(entry.offset, cursor.Read<std::uint64_t>("a tensor's offset"));
  if (const GgmlType* type = FindGgmlType(entry.type_number)) entry.type = type->type;
  const std::int64_t row = entry.shape.empty() ? 1 : entry.shape.back();
  if (entry.type && row % BlockElements(*entry.type) != 0) {
    return cursor.Damaged("tensor ", name, ": rows of ", row, " elements, expected a multiple of ",
                          BlockElements(*entry.type), " for ", std::string(Name(*entry.type)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::uint64_t> Alignment(const GgufContents& contents, const std::string& where) {
  const auto found = contents.metadata.find(kAlignmentKey);
  if (found == contents.metadata.end()) return kDefaultAlignment;
  const std::uint64_t value = AsInteger(*found).value_or(0);
  if (value < 8 || value > kMaxAlignment || (value & (value - 1)) != 0) {
    return absl::DataLossError(absl::StrCat(where, ": ", kAlignmentKey, " ", found->dump(),
                                            ", expected a power of two from 8 to ", kMaxAlignment));
  }
  return value;
}

// Gives each tensor its bytes of `data`, which begins at `base` of the file.
absl::Status PlaceTensors(std::span<const std::uint8_t> data, std::uint64_t base,
                          std::uint64_t alignment, const std::string& where,
                          GgufContents& contents) {
  std::vector<std::pair<std::uint64_t, const std::string*>> order;
  for (const auto& [name, entry] : contents.tensors) order.emplace_back(entry.offset, &name);
  std::sort(order.begin(), order.end());
  std::uint64_t end_before = 0;
  for (const auto& [offset, name] : order) {
    GgufEntry& entry = contents.tensors.find(*name)->second;
    const auto damaged = [&, offset = offset, name = name](const auto&... what) {
      return absl::DataLossError(
          absl::StrCat(where, ": tensor ", *name, ": data offset ", offset, what...));
    };
    if (offset % alignment != 0) return damaged(", expected a multiple of ", alignment);
    if (offset > data.size()) return damaged(", but the file's data ends at ", data.size());
    if (offset < end_before) return damaged(" lies within the tensor that ends at ", end_before);
    if (!entry.type) continue;
    const std::uint64_t bytes = StoredBytes(*entry.type, *CheckedElements(entry.shape));
    if (bytes > data.size() - offset) {
      return damaged(": ", bytes, " bytes expected, the file ends after ", data.size() - offset,
                     " (at ", base + data.size(), ")");
    }
    entry.bytes = data.subspan(offset, bytes);
    end_before = offset + bytes;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<GgufContents> ParseGguf(std::span<const std::uint8_t> file,
                                       const std::string& where) {
  GgufCursor cursor(file, 0, where);
  FALLOW_ASSIGN_OR_RETURN(const Counts counts, ReadHead(cursor, where));
  GgufContents contents;
  FALLOW_RETURN_IF_ERROR(ReadMetadata(cursor, counts.metadata, contents));
  for (std::uint64_t i = 0; i < counts.tensors; ++i) {
    FALLOW_RETURN_IF_ERROR(ReadTensor(cursor, contents));
  }
  FALLOW_ASSIGN_OR_RETURN(const std::uint64_t alignment, Alignment(contents, where));
  const std::uint64_t base = (cursor.position() + alignment - 1) / alignment * alignment;
  const std::span<const std::uint8_t> data =
      base < file.size() ? file.subspan(base) : std::span<const std::uint8_t>();
  FALLOW_RETURN_IF_ERROR(PlaceTensors(data, base, alignment, where, contents));
  return contents;
}

absl::StatusOr<json> ParseGgufArray(std::span<const std::uint8_t> file, std::size_t place,
                                    const std::string& where) {
  GgufCursor cursor(file, place, where);
  return ReadGgufValue(cursor, std::numeric_limits<std::uint64_t>::max());
}

std::string GgmlTypeName(std::uint32_t number) {
  const GgmlType* type = FindGgmlType(number);
  return type ? absl::StrCat(type->name, " (", number, ")") : absl::StrCat(number);
}

}  // namespace fallow
