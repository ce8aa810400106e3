// From a checkpoint's tensors to packed weights on a back end, and the digests that name them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "fallow/model_spec.h"
#include "kernels/backend.h"
#include "model/checkpoint.h"
#include "model/spec.h"

namespace fallow {

// Arithmetic, weights, KV and wire format together. Two hops of a session have equal classes; they
// are compared as strings and never mixed.
struct NumericClass {
  Arithmetic arithmetic = Arithmetic::kExact;
  std::optional<WeightType> weights;  // a conversion on purpose; none: what the checkpoint holds
  KvFormat kv = KvFormat::kQ8;
  Rounding rounding = Rounding::kBf16;  // of hidden states after every block, hence on the wire

  // "fp32", "bf16", "exact-1"; what is not the default is appended: "exact-1+q8", "bf16+kv8",
  // "exact-1+r8".
  std::string ToString() const;

  // What the options `numeric_class` (auto, fp32, bf16, exact, or a whole class string) and
  // `weights` (auto, fp32, bf16, q8, q4) mean for this checkpoint. auto: exact for quantised
  // weights, else bf16. InvalidArgument for names that are unknown or do not go together.
  static absl::StatusOr<NumericClass> Choose(const std::string& numeric_class,
                                             const std::string& weights,
                                             const Checkpoint& checkpoint);
};

using Digest = std::array<std::uint8_t, 32>;  // BLAKE2b-256

std::string Hex(const Digest& digest);                       // 64 digits, a to f small
std::optional<Digest> DigestFromHex(std::string_view text);  // none: not such digits

// Of a block (or of the ends: embedding, final norm, head): its tensors' slots, types, shapes and
// bytes as stored, before any conversion.
absl::StatusOr<Digest> BlockDigest(const Checkpoint&, const Family&, const ModelSpec&, int block);
absl::StatusOr<Digest> EndsDigest(const Checkpoint&, const Family&, const ModelSpec&);

// The hash that names a model whose parts are not all at hand: of the spec in canonical form, the
// file's own tensor list (names, types, shapes) of all blocks. Equal for every holder of the
// checkpoint, whatever span it reads.
absl::StatusOr<Digest> ManifestDigest(const Checkpoint&, const Family&, const ModelSpec&);

// How the class keeps a matrix of a stored type.
WeightType KeptAs(const NumericClass&, StoredType stored);

// The matrix of a slot in the layout that the class keeps: fp32 and bf16 as such; quantised
// types as stored where there is a layout for them, else the next better one (Q4_K, Q5_*, Q6_K...),
// never silently a worse one.
absl::StatusOr<WeightRows> ReadMatrix(const Checkpoint&, const Family&, const ModelSpec&,
                                      const NumericClass&, const std::string& slot, int block);

// A vector slot as floats; empty where the slot is optional and absent.
absl::StatusOr<std::vector<float>> ReadVector(const Checkpoint&, const Family&, const ModelSpec&,
                                              const std::string& slot, int block);

}  // namespace fallow
