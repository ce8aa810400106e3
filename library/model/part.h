// The parts of a model that are named by digests and kept in files.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "fallow/model_spec.h"

namespace fallow {

inline constexpr const char* kBlockSlots[] = {"attention_norm", "query", "key", "value", "output",
                                              "ffn_norm",       "gate",  "up",  "down"};
inline constexpr const char* kEmbeddingSlots[] = {"embedding", "embedding_norm"};

// Some slots, each with an optional bias.
struct Part {
  std::string name;  // "block 3", "embedding", "head"
  int block = 0;
  std::vector<std::string> slots;
};

inline Part BlockPart(int block) {
  return {absl::StrCat("block ", block), block, {std::begin(kBlockSlots), std::end(kBlockSlots)}};
}
inline Part EmbeddingPart() {
  return {"embedding", 0, {std::begin(kEmbeddingSlots), std::end(kEmbeddingSlots)}};
}
// Without the matrix where it is the embedding's.
inline Part HeadPart(const ModelSpec& spec) {
  Part head{"head", 0, {"final_norm"}};
  if (!spec.tied_head) head.slots.push_back("head");
  return head;
}

}  // namespace fallow
