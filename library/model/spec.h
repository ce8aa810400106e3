// ModelSpec and tensor names from a checkpoint's configuration, by the family's descriptor.
//
// A descriptor (families/<name>.json, embedded at build) is data: `read` says which configuration
// keys give which field (with fallbacks), `fixed` what the family always has, `when` what a flag
// changes or rules out (model/descriptor.h), `tensors` where each slot's tensor lies ("{block}"
// stands for the block's number, "{prefix}" for one of `prefixes`) and how a fused one is split. A
// slot whose name ends in "?" there need not be in a checkpoint. A descriptor that is `like`
// another names only the differences. There is one vocabulary of slots:
//   model   embedding, embedding_norm(.bias), final_norm(.bias), head
//   block   attention_norm, query, key, value, output, ffn_norm, gate, up, down, each with `.bias`
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "fallow/model_spec.h"
#include "model/checkpoint.h"

namespace fallow {

// Where one slot's matrix or vector lies: rows of a stored tensor.
struct TensorSource {
  enum class Rows {
    kAll,
    kPart,          // rows [part * n, (part + 1) * n) of a tensor of `parts` * n rows
    kInterleaved,   // per head: rows of part 0, 1, … in turn (BLOOM: query, key, value)
    kRopePermuted,  // GGUF's order of llama q and k rows, undone when read
  };
  std::string name;  // with "{block}" filled in
  Rows rows = Rows::kAll;
  int part = 0;
  int parts = 1;
};

class Family {
 public:
  // The family of a checkpoint, by `model_type` or `general.architecture`.
  // Unimplemented names the architecture and those that are known.
  static absl::StatusOr<Family> For(const Checkpoint& checkpoint);

  // InvalidArgument if a key is missing or absurd (names file, key, value, expectation).
  absl::StatusOr<ModelSpec> ReadSpec(const Checkpoint& checkpoint) const;

  // None where the family, or this checkpoint (an optional bias), has no such slot. NotFound if a
  // tensor is missing. `block` is ignored for the model's own slots.
  absl::StatusOr<std::optional<TensorSource>> Find(const Checkpoint& checkpoint,
                                                   const std::string& slot, int block) const;

 private:
  explicit Family(nlohmann::json descriptor) : descriptor_(std::move(descriptor)) {}
  nlohmann::json descriptor_;
};

}  // namespace fallow
