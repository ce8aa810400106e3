#include <algorithm>
#include <cstdio>
#include <iterator>
#include <optional>

#include "absl/strings/escaping.h"
#include "base/status_macros.h"
#include "model/hasher.h"
#include "model/part.h"
#include "model/weights.h"

namespace fallow {
namespace {

constexpr const char* kEndSlots[] = {"embedding", "embedding_norm", "final_norm", "head"};

// Adds a slot's tensor. Its bytes are left out where `last`, the tensor before, was the same one
// (a fused query, key and value).
absl::Status AddSlot(const Checkpoint& checkpoint, const Family& family, const std::string& slot,
                     int block, std::string& last, Hasher& hasher) {
  FALLOW_ASSIGN_OR_RETURN(const std::optional<TensorSource> source,
                          family.Find(checkpoint, slot, block));
  if (!source) return absl::OkStatus();
  FALLOW_ASSIGN_OR_RETURN(const StoredTensor tensor, checkpoint.Find(source->name));
  hasher.Add(slot);
  hasher.Add(static_cast<std::int64_t>(source->rows));
  hasher.Add(source->part);
  hasher.Add(source->parts);
  hasher.Add(Name(tensor.type));
  hasher.Add(static_cast<std::int64_t>(tensor.shape.size()));
  for (const std::int64_t size : tensor.shape) hasher.Add(size);
  if (tensor.name != last) hasher.Add(tensor.bytes);
  last = tensor.name;
  return absl::OkStatus();
}

template <std::size_t kCount>
absl::StatusOr<Digest> DigestOf(const Checkpoint& checkpoint, const Family& family,
                                const ModelSpec& spec, const char* const (&slots)[kCount],
                                int block) {
  Hasher hasher;
  for (const char* const suffix : {"", ".bias"}) {
    std::string last;
    for (const std::string slot : slots) {
      if (slot == "head" && spec.tied_head) continue;
      FALLOW_RETURN_IF_ERROR(AddSlot(checkpoint, family, slot + suffix, block, last, hasher));
    }
  }
  return hasher.Finish();
}

// A double in hexadecimal: exact, and the same everywhere.
std::string Hexadecimal(double value) {
  char text[40];
  std::snprintf(text, sizeof(text), "%a", value);
  return text;
}

// All that the arithmetic of a model depends on, in one order. The tokens that end generation or
// pad it are not: a holder of the same weights may have them from a file of its own.
void AddSpec(const ModelSpec& spec, Hasher& hasher) {
  const RopeScaling& scaling = spec.rope_scaling;
  hasher.Add(spec.family);
  for (const std::int64_t number :
       {std::int64_t{spec.num_blocks}, std::int64_t{spec.hidden_size}, std::int64_t{spec.num_heads},
        std::int64_t{spec.num_kv_heads}, std::int64_t{spec.head_dim},
        std::int64_t{spec.intermediate_size}, std::int64_t{spec.vocab_size}, spec.max_positions,
        static_cast<std::int64_t>(spec.norm), static_cast<std::int64_t>(spec.activation),
        std::int64_t{spec.gated}, static_cast<std::int64_t>(spec.position),
        std::int64_t{spec.rope_dims}, std::int64_t{spec.sliding_window},
        std::int64_t{spec.embedding_norm}, std::int64_t{spec.tied_head},
        static_cast<std::int64_t>(scaling.kind), scaling.original_max_positions,
        std::int64_t{scaling.truncate}}) {
    hasher.Add(number);
  }
  for (const double number :
       {double{spec.norm_epsilon}, spec.rope_theta, double{spec.attention_scale},
        double{spec.logit_soft_cap}, double{spec.embedding_scale}, scaling.factor,
        scaling.low_freq_factor, scaling.high_freq_factor, scaling.beta_fast, scaling.beta_slow,
        scaling.attention_factor, scaling.mscale, scaling.mscale_all_dim}) {
    hasher.Add(Hexadecimal(number));
  }
}

}  // namespace

std::string Hex(const Digest& digest) {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

std::optional<Digest> DigestFromHex(std::string_view text) {
  Digest digest;
  if (text.size() != 2 * digest.size() ||
      text.find_first_not_of("0123456789abcdef") != std::string_view::npos) {
    return std::nullopt;
  }
  const std::string bytes = absl::HexStringToBytes(std::string(text));
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

absl::StatusOr<Digest> BlockDigest(const Checkpoint& checkpoint, const Family& family,
                                   const ModelSpec& spec, int block) {
  return DigestOf(checkpoint, family, spec, kBlockSlots, block);
}

absl::StatusOr<Digest> EndsDigest(const Checkpoint& checkpoint, const Family& family,
                                  const ModelSpec& spec) {
  return DigestOf(checkpoint, family, spec, kEndSlots, /*block=*/0);
}

absl::StatusOr<Digest> ManifestDigest(const Checkpoint& checkpoint, const Family&,
                                      const ModelSpec& spec) {
  Hasher hasher;
  AddSpec(spec, hasher);
  hasher.Add(checkpoint.Inventory());
  return hasher.Finish();
}

}  // namespace fallow
