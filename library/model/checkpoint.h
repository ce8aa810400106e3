// Reading checkpoints: safetensors (one file or sharded, in a directory) and GGUF v3.
//
// Files are mapped, so only the tensors that are asked for are read. Everything in them is checked
// before use; errors name the file, the place and what was expected there. Pickle is never read.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace fallow {

// How the elements of a stored tensor are laid out.
enum class StoredType {
  kF32,
  kF16,
  kBF16,
  kI64,
  kI32,
  kU8,
  // GGUF blocks
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
};
std::string_view Name(StoredType type);  // "F32", "Q4_K"

// Bytes of `elements` (a whole number of the type's blocks).
std::int64_t StoredBytes(StoredType type, std::int64_t elements);

// A tensor in a checkpoint. The bytes live as long as the Checkpoint.
struct StoredTensor {
  std::string name;
  StoredType type = StoredType::kF32;
  std::vector<std::int64_t> shape;  // outermost first, also for GGUF
  std::span<const std::uint8_t> bytes;

  std::int64_t elements() const;
};

// The definition of each stored type: values as floats. out has `elements` floats.
void Dequantize(StoredType type, std::span<const std::uint8_t> bytes, std::int64_t elements,
                float* out);

class Checkpoint {
 public:
  virtual ~Checkpoint() = default;

  // `path`: a directory with config.json and *.safetensors, or a .gguf file.
  // NotFound, DataLoss (damaged: names file and offset), Unimplemented (a version or type that is
  // not supported).
  static absl::StatusOr<std::unique_ptr<Checkpoint>> Open(const std::string& path);

  // Configuration, by key: config.json, or GGUF metadata (arrays of more than 1024 elements are
  // left out; see tokenizer()). generation_config.json is under the key "generation_config" if
  // present.
  virtual const nlohmann::json& config() const = 0;

  // What a GGUF file says about its tokenizer: all keys that begin with "tokenizer.", with their
  // arrays in full. Strings may hold any bytes. Empty for directories, which hold a tokenizer.json.
  virtual absl::StatusOr<nlohmann::json> tokenizer() const = 0;

  virtual bool is_gguf() const = 0;
  virtual const std::string& path() const = 0;

  virtual std::vector<std::string> tensor_names() const = 0;  // sorted

  // Paths of the files that hold tensors, sorted; of a sharded checkpoint some may not be here.
  virtual std::vector<std::string> files() const = 0;

  // What every holder of the checkpoint knows about its tensors without reading them, in one
  // canonical form: names, types and shapes; of a sharded one, whose shards may not all be here,
  // names and total size.
  virtual std::string Inventory() const = 0;

  virtual bool Has(std::string_view name) const = 0;
  virtual absl::StatusOr<StoredTensor> Find(std::string_view name) const = 0;  // NotFound
};

}  // namespace fallow
