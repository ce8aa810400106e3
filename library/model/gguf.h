// GGUF versions 2 and 3, little-endian: metadata, tensor descriptions and tensors in one file.
// Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/checkpoint.h"

namespace fallow {

struct GgufEntry {
  std::uint32_t type_number = 0;   // ggml's
  std::optional<StoredType> type;  // none: a type that is not supported
  std::vector<std::int64_t> shape;
  std::uint64_t offset = 0;             // from the beginning of the tensors' data
  std::span<const std::uint8_t> bytes;  // empty for types that are not supported
};

struct GgufContents {
  nlohmann::json metadata = nlohmann::json::object();  // without long arrays
  std::map<std::string, std::size_t> long_arrays;      // key -> where its value lies in the file
  std::map<std::string, GgufEntry, std::less<>> tensors;
};

// Arrays with more elements are read when they are asked for.
inline constexpr std::uint64_t kLongArray = 1024;

// What a whole file's bytes describe; tensors point into `file`. DataLoss names `where`.
absl::StatusOr<GgufContents> ParseGguf(std::span<const std::uint8_t> file,
                                       const std::string& where);

// The array at a place that GgufContents::long_arrays names.
absl::StatusOr<nlohmann::json> ParseGgufArray(std::span<const std::uint8_t> file, std::size_t place,
                                              const std::string& where);

std::string GgmlTypeName(std::uint32_t number);  // "Q4_K (12)", "77" for one not known here

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenGguf(const std::string& path);

}  // namespace fallow
