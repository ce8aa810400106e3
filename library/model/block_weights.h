// The weights of one transformer block on a back end.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "model/slots.h"

namespace fallow {

struct BlockWeights {
  NormWeights attention_norm;
  LinearWeights query;
  LinearWeights key;
  LinearWeights value;
  LinearWeights output;
  NormWeights ffn_norm;
  LinearWeights gate;  // empty unless the spec says `gated`
  LinearWeights up;
  LinearWeights down;

  static absl::StatusOr<BlockWeights> Read(const SlotReader& reader, const ModelSpec& spec,
                                           int block);
  std::int64_t packed_bytes() const;
};

}  // namespace fallow
