#include "model/packed_header.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/matmul/panel.h"
#include "model/checked_json.h"
#include "model/hasher.h"

namespace fallow {
namespace {

using nlohmann::json;

constexpr std::string_view kMagic = "FALLOWPW";
constexpr std::int64_t kFormatAt = 8;
constexpr std::int64_t kSizeAt = 16;
constexpr std::int64_t kDigestAt = 24;
constexpr std::int64_t kTextAt = 56;
constexpr std::int64_t kMaxTextBytes = 1 << 20;
constexpr char kFloats[] = "floats";

constexpr std::int64_t Aligned(std::int64_t bytes) {
  return (bytes + kPackedAlignment - 1) / kPackedAlignment * kPackedAlignment;
}

void PutNumber(std::int64_t number, std::uint8_t* at) { std::memcpy(at, &number, sizeof(number)); }

std::int64_t GetNumber(std::span<const std::uint8_t> file, std::int64_t at) {
  std::int64_t number;
  std::memcpy(&number, file.data() + at, sizeof(number));
  return number;
}

Digest DigestOf(std::string_view text) {
  Hasher hasher;
  hasher.Add(text);
  return hasher.Finish();
}

std::int64_t BytesOf(const PackedTensor& tensor) {
  if (!tensor.type) return tensor.rows * std::int64_t{sizeof(float)};
  return PackedBytes(*tensor.type, tensor.rows, tensor.cols);
}

std::optional<WeightType> TypeNamed(std::string_view name) {
  for (const WeightType type : {WeightType::kFp32, WeightType::kBf16, WeightType::kQ8,
                                WeightType::kQ4_0, WeightType::kQ4_1, WeightType::kNl4}) {
    if (Name(type) == name) return type;
  }
  return std::nullopt;
}

json ToJson(const PackedTensor& tensor) {
  return {
      {"slot", tensor.slot},     {"type", tensor.type ? std::string(Name(*tensor.type)) : kFloats},
      {"rows", tensor.rows},     {"cols", tensor.cols},
      {"offset", tensor.offset}, {"bytes", tensor.bytes}};
}

json ToJson(const PackedHeader& header) {
  json tensors = json::array();
  for (const PackedTensor& tensor : header.tensors) tensors.push_back(ToJson(tensor));
  return {{"key", Hex(header.key)},          {"model", Hex(header.model)},
          {"checkpoint", header.checkpoint}, {"part", header.part},
          {"layout", header.layout},         {"contents", Hex(header.contents)},
          {"tensors", std::move(tensors)}};
}

// Reads fields and remembers whether all were as they must be.
class FieldReader {
 public:
  explicit FieldReader(const json& object) : object_(object) {}

  std::string Text(const char* name) {
    const json* value = Find(name);
    if (value != nullptr && value->is_string()) return value->get<std::string>();
    Fail(name);
    return "";
  }
  std::int64_t Number(const char* name) {
    const json* value = Find(name);
    const std::optional<std::int64_t> number = value ? AsInteger(*value) : std::nullopt;
    if (!number) Fail(name);
    return number.value_or(0);
  }
  Digest Hash(const char* name) {
    const std::optional<Digest> digest = DigestFromHex(Text(name));
    if (!digest) Fail(name);
    return digest.value_or(Digest{});
  }
  void Fail(const char* name) {
    if (bad_.empty()) bad_ = name;
  }
  const std::string& bad() const { return bad_; }  // the first field that is not; or empty

 private:
  const json* Find(const char* name) const {
    const auto found = object_.is_object() ? object_.find(name) : object_.end();
    return object_.is_object() && found != object_.end() ? &*found : nullptr;
  }

  const json& object_;
  std::string bad_;
};

// Whether the numbers can be those of a tensor in a file of `file_bytes`. A number takes at least
// half a byte, so no size that is computed from them overflows.
bool IsPossible(const PackedTensor& tensor, std::int64_t file_bytes) {
  if (tensor.rows < 1 || tensor.cols < 1 || tensor.rows > 2 * file_bytes ||
      tensor.cols > 2 * file_bytes / tensor.rows) {
    return false;
  }
  if (!tensor.type && tensor.cols != 1) return false;
  if (tensor.type && IsQuantised(*tensor.type) && tensor.cols % kGroup != 0) return false;
  return tensor.bytes == BytesOf(tensor) && tensor.bytes <= file_bytes;
}

absl::StatusOr<PackedTensor> ParseTensor(const json& object, std::int64_t file_bytes,
                                         const std::string& where) {
  FieldReader fields(object);
  PackedTensor tensor{.slot = fields.Text("slot"), .type = {}};
  const std::string type = fields.Text("type");
  tensor.type = TypeNamed(type);
  if (!tensor.type && type != kFloats) fields.Fail("type");
  tensor.rows = fields.Number("rows");
  tensor.cols = fields.Number("cols");
  tensor.offset = fields.Number("offset");
  tensor.bytes = fields.Number("bytes");
  if (!fields.bad().empty() || !IsPossible(tensor, file_bytes)) {
    return absl::DataLossError(
        absl::StrCat(where, ": tensor \"", tensor.slot, "\" is not one (", fields.bad(), ")"));
  }
  return tensor;
}

absl::StatusOr<std::vector<PackedTensor>> ParseTensors(const json& list, std::int64_t file_bytes,
                                                       const std::string& where) {
  if (!list.is_array()) return absl::DataLossError(absl::StrCat(where, ": no list of tensors"));
  std::vector<PackedTensor> tensors;
  std::set<std::string> slots;
  for (const json& entry : list) {
    FALLOW_ASSIGN_OR_RETURN(PackedTensor tensor, ParseTensor(entry, file_bytes, where));
    if (!slots.insert(tensor.slot).second) {
      return absl::DataLossError(absl::StrCat(where, ": tensor \"", tensor.slot, "\" twice"));
    }
    tensors.push_back(std::move(tensor));
  }
  std::vector<PackedTensor> placed = tensors;
  PlaceTensors(placed);
  if (placed != tensors) {
    return absl::DataLossError(absl::StrCat(where, ": tensors do not lie where they must"));
  }
  return tensors;
}

// The header's text, whole. DataLoss, Unimplemented.
absl::StatusOr<std::string_view> TextOf(std::span<const std::uint8_t> file,
                                        const std::string& where) {
  if (std::ssize(file) < kTextAt || std::memcmp(file.data(), kMagic.data(), kMagic.size()) != 0) {
    return absl::DataLossError(absl::StrCat(where, ": not a file of packed weights"));
  }
  if (const std::int64_t format = GetNumber(file, kFormatAt); format != kPackedFormat) {
    return absl::UnimplementedError(
        absl::StrCat(where, ": format ", format, ", expected ", kPackedFormat));
  }
  const std::int64_t size = GetNumber(file, kSizeAt);
  if (size < 0 || size > kMaxTextBytes || size > std::ssize(file) - kTextAt) {
    return absl::DataLossError(
        absl::StrCat(where, ": a header of ", size, " bytes, the file has ", file.size()));
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kTextAt, size);
  const Digest digest = DigestOf(text);
  if (!std::equal(digest.begin(), digest.end(), file.data() + kDigestAt)) {
    return absl::DataLossError(absl::StrCat(where, ": the header is damaged"));
  }
  return text;
}

}  // namespace

void PlaceTensors(std::vector<PackedTensor>& tensors) {
  std::int64_t offset = 0;
  for (PackedTensor& tensor : tensors) {
    tensor.offset = offset;
    tensor.bytes = BytesOf(tensor);
    offset = Aligned(offset + tensor.bytes);
  }
}

std::int64_t ContentsBytes(const std::vector<PackedTensor>& tensors) {
  return tensors.empty() ? 0 : tensors.back().offset + tensors.back().bytes;
}

std::vector<std::uint8_t> EncodePackedHeader(const PackedHeader& header) {
  const std::string text = ToJson(header).dump(-1, ' ', false, json::error_handler_t::replace);
  const auto size = static_cast<std::int64_t>(text.size());
  std::vector<std::uint8_t> bytes(Aligned(kTextAt + size));
  std::copy(kMagic.begin(), kMagic.end(), bytes.begin());
  PutNumber(kPackedFormat, bytes.data() + kFormatAt);
  PutNumber(size, bytes.data() + kSizeAt);
  const Digest digest = DigestOf(text);
  std::copy(digest.begin(), digest.end(), bytes.begin() + kDigestAt);
  std::copy(text.begin(), text.end(), bytes.begin() + kTextAt);
  return bytes;
}

absl::StatusOr<ParsedHeader> ParsePackedHeader(std::span<const std::uint8_t> file,
                                               const std::string& where) {
  FALLOW_ASSIGN_OR_RETURN(const std::string_view text, TextOf(file, where));
  FALLOW_ASSIGN_OR_RETURN(const json object, ParseJsonObject(text, where));
  FieldReader fields(object);
  ParsedHeader parsed{.header = {.key = fields.Hash("key"),
                                 .model = fields.Hash("model"),
                                 .checkpoint = fields.Text("checkpoint"),
                                 .part = fields.Text("part"),
                                 .layout = fields.Text("layout"),
                                 .contents = fields.Hash("contents"),
                                 .tensors = {}},
                      .begin = Aligned(kTextAt + std::ssize(text))};
  if (!fields.bad().empty()) {
    return absl::DataLossError(absl::StrCat(where, ": no ", fields.bad(), " in the header"));
  }
  FALLOW_ASSIGN_OR_RETURN(parsed.header.tensors,
                          ParseTensors(object.value("tensors", json()), std::ssize(file), where));
  const std::int64_t end = parsed.begin + ContentsBytes(parsed.header.tensors);
  if (end != std::ssize(file)) {
    return absl::DataLossError(absl::StrCat(where, ": ", file.size(), " bytes, expected ", end));
  }
  return parsed;
}

}  // namespace fallow
