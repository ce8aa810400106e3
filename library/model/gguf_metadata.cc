#include "model/gguf_metadata.h"

#include "base/status_macros.h"

namespace fallow {
namespace {

using nlohmann::json;

enum ValueType : std::uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64,
};

constexpr int kMaxNesting = 4;  // arrays of arrays

// 0 for strings and arrays.
int FixedBytes(std::uint32_t type) {
  switch (type) {
    case kUint8:
    case kInt8:
    case kBool:
      return 1;
    case kUint16:
    case kInt16:
      return 2;
    case kUint32:
    case kInt32:
    case kFloat32:
      return 4;
    case kUint64:
    case kInt64:
    case kFloat64:
      return 8;
    default:
      return 0;
  }
}

template <typename T>
absl::StatusOr<json> ReadNumber(GgufCursor& cursor) {
  FALLOW_ASSIGN_OR_RETURN(const T value, cursor.Read<T>("a metadata value"));
  return json(value);
}

absl::StatusOr<json> ReadBool(GgufCursor& cursor) {
  FALLOW_ASSIGN_OR_RETURN(const std::uint8_t value, cursor.Read<std::uint8_t>("a metadata value"));
  if (value > 1) return cursor.Damaged("bool of value ", value);
  return json(value == 1);
}

absl::StatusOr<json> ReadText(GgufCursor& cursor) {
  FALLOW_ASSIGN_OR_RETURN(const std::string_view text, cursor.ReadString("a metadata string"));
  return json(text);
}

absl::StatusOr<json> ReadArray(GgufCursor& cursor, int nesting);

absl::StatusOr<json> ReadTyped(GgufCursor& cursor, std::uint32_t type, int nesting) {
  switch (type) {
    case kUint8:
      return ReadNumber<std::uint8_t>(cursor);
    case kInt8:
      return ReadNumber<std::int8_t>(cursor);
    case kUint16:
      return ReadNumber<std::uint16_t>(cursor);
    case kInt16:
      return ReadNumber<std::int16_t>(cursor);
    case kUint32:
      return ReadNumber<std::uint32_t>(cursor);
    case kInt32:
      return ReadNumber<std::int32_t>(cursor);
    case kFloat32:
      return ReadNumber<float>(cursor);
    case kBool:
      return ReadBool(cursor);
    case kString:
      return ReadText(cursor);
    case kArray:
      return ReadArray(cursor, nesting + 1);
    case kUint64:
      return ReadNumber<std::uint64_t>(cursor);
    case kInt64:
      return ReadNumber<std::int64_t>(cursor);
    case kFloat64:
      return ReadNumber<double>(cursor);
    default:
      return cursor.Damaged("metadata type ", type, ", expected 0 to ", kFloat64);
  }
}

struct ArrayHead {
  std::uint32_t type;
  std::uint64_t count;
};

// What precedes an array's elements. The file is long enough for `count` of the smallest.
absl::StatusOr<ArrayHead> ReadArrayHead(GgufCursor& cursor) {
  ArrayHead head;
  FALLOW_ASSIGN_OR_RETURN(head.type, cursor.Read<std::uint32_t>("an array's type"));
  FALLOW_ASSIGN_OR_RETURN(head.count, cursor.Read<std::uint64_t>("an array's length"));
  const int fixed = FixedBytes(head.type);
  constexpr int kLeastString = 8;  // its length
  constexpr int kLeastArray = 12;  // type and length
  const int least = fixed > 0 ? fixed : head.type == kString ? kLeastString : kLeastArray;
  if (head.count > cursor.left() / least) {
    return cursor.Damaged("array of ", head.count, " elements, expected at most ",
                          cursor.left() / least);
  }
  return head;
}

absl::StatusOr<json> ReadArray(GgufCursor& cursor, int nesting) {
  if (nesting > kMaxNesting) return cursor.Damaged("arrays nested deeper than ", kMaxNesting);
  FALLOW_ASSIGN_OR_RETURN(const ArrayHead head, ReadArrayHead(cursor));
  json array = json::array();
  for (std::uint64_t i = 0; i < head.count; ++i) {
    FALLOW_ASSIGN_OR_RETURN(json element, ReadTyped(cursor, head.type, nesting));
    array.push_back(std::move(element));
  }
  return array;
}

absl::Status SkipElements(GgufCursor& cursor, const ArrayHead& head) {
  if (const int fixed = FixedBytes(head.type); fixed > 0) {
    return cursor.Skip(head.count * fixed, "an array");
  }
  for (std::uint64_t i = 0; i < head.count; ++i) {
    if (head.type == kString) {
      FALLOW_RETURN_IF_ERROR(cursor.ReadString("an array's string").status());
    } else {
      FALLOW_RETURN_IF_ERROR(ReadTyped(cursor, head.type, /*nesting=*/1).status());
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<json> ReadGgufValue(GgufCursor& cursor, std::uint64_t longest) {
  FALLOW_ASSIGN_OR_RETURN(const std::uint32_t type, cursor.Read<std::uint32_t>("a metadata type"));
  if (type == kArray) {
    GgufCursor elements = cursor;
    FALLOW_ASSIGN_OR_RETURN(const ArrayHead head, ReadArrayHead(elements));
    if (head.count > longest) {
      FALLOW_RETURN_IF_ERROR(SkipElements(elements, head));
      FALLOW_RETURN_IF_ERROR(cursor.Skip(elements.position() - cursor.position(), "an array"));
      return json(json::value_t::discarded);
    }
  }
  return ReadTyped(cursor, type, /*nesting=*/0);
}

}  // namespace fallow
