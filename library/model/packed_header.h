// The beginning of a file of packed weights: what is in it, and where.
//
//   0   "FALLOWPW"
//   8   format, 64 bits
//   16  bytes of the text, 64 bits
//   24  BLAKE2b-256 of the text
//   56  the text, a JSON object; then zeros up to a multiple of 4096, where the tensors begin
//
// Each tensor begins at a multiple of 4096, one behind the other in the text's order, with zeros
// between; the file ends where the last ends. Numbers are little-endian.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/numeric.h"
#include "model/weights.h"

namespace fallow {

// Raised with any change of what files hold for the same key: of this format, of the conversions in
// convert_rows.h, of the slots of a part. It is part of every key.
inline constexpr std::int64_t kPackedFormat = 1;
inline constexpr std::int64_t kPackedAlignment = 4096;

struct PackedTensor {
  std::string slot;                // "query", "query.bias"
  std::optional<WeightType> type;  // of a matrix in panels; none: plain floats
  std::int64_t rows = 0;
  std::int64_t cols = 0;    // 1 for floats
  std::int64_t offset = 0;  // from where the tensors begin
  std::int64_t bytes = 0;

  friend bool operator==(const PackedTensor&, const PackedTensor&) = default;
};

struct PackedHeader {
  Digest key{};    // names the file
  Digest model{};  // its manifest's digest: for people, as the next two
  std::string checkpoint;
  std::string part;    // "block 3", "embedding", "head"
  std::string layout;  // the back end's
  Digest contents{};   // of all that follows the header
  std::vector<PackedTensor> tensors;
};

// Sets each tensor's offset and bytes.
void PlaceTensors(std::vector<PackedTensor>& tensors);

// Bytes of the file from where the tensors begin.
std::int64_t ContentsBytes(const std::vector<PackedTensor>& tensors);

// With the zeros up to the first tensor. As long for every digest.
std::vector<std::uint8_t> EncodePackedHeader(const PackedHeader& header);

struct ParsedHeader {
  PackedHeader header;
  std::int64_t begin = 0;  // of the tensors
};

// Of a whole file's bytes, of which only the header is read. Every tensor lies within the file.
// DataLoss names `where` and what is wrong; Unimplemented for another format.
absl::StatusOr<ParsedHeader> ParsePackedHeader(std::span<const std::uint8_t> file,
                                               const std::string& where);

}  // namespace fallow
