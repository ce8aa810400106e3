#include "model/block_weights.h"

#include "base/status_macros.h"

namespace fallow {

absl::StatusOr<BlockWeights> BlockWeights::Read(const SlotReader& reader, const ModelSpec& spec,
                                                int block) {
  const std::int64_t hidden = spec.hidden_size;
  const std::int64_t queries = std::int64_t{spec.num_heads} * spec.head_dim;
  const std::int64_t keys = std::int64_t{spec.num_kv_heads} * spec.head_dim;
  const std::int64_t inner = spec.intermediate_size;
  BlockWeights w;
  FALLOW_ASSIGN_OR_RETURN(w.attention_norm, reader.Norm("attention_norm", block));
  FALLOW_ASSIGN_OR_RETURN(w.query, reader.Linear("query", block, queries, hidden));
  FALLOW_ASSIGN_OR_RETURN(w.key, reader.Linear("key", block, keys, hidden));
  FALLOW_ASSIGN_OR_RETURN(w.value, reader.Linear("value", block, keys, hidden));
  FALLOW_ASSIGN_OR_RETURN(w.output, reader.Linear("output", block, hidden, queries));
  FALLOW_ASSIGN_OR_RETURN(w.ffn_norm, reader.Norm("ffn_norm", block));
  if (spec.gated) {
    FALLOW_ASSIGN_OR_RETURN(w.gate, reader.Linear("gate", block, inner, hidden));
  }
  FALLOW_ASSIGN_OR_RETURN(w.up, reader.Linear("up", block, inner, hidden));
  FALLOW_ASSIGN_OR_RETURN(w.down, reader.Linear("down", block, hidden, inner));
  return w;
}

std::int64_t BlockWeights::packed_bytes() const {
  std::int64_t bytes = 0;
  for (const LinearWeights* linear : {&query, &key, &value, &output, &gate, &up, &down}) {
    if (linear->weight.memory != nullptr) bytes += linear->weight.panels.bytes();
  }
  return bytes;
}

}  // namespace fallow
