// What a model is: the numbers and choices that its arithmetic needs, read from a checkpoint's
// configuration by a family descriptor (library/model/families/*.json).
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "fallow/rope_scaling.h"

namespace fallow {

using TokenId = std::int32_t;

// Consecutive transformer blocks [begin, end), counted from 0. Empty: all that there are.
struct BlockRange {
  int begin = 0;
  int end = 0;

  int size() const { return end - begin; }
  bool empty() const { return size() <= 0; }
  bool Contains(const BlockRange& other) const { return begin <= other.begin && other.end <= end; }
  friend bool operator==(const BlockRange&, const BlockRange&) = default;
};
std::string ToString(const BlockRange& range);  // "[8, 16)"
std::ostream& operator<<(std::ostream& out, const BlockRange& range);

struct ModelSpec {
  enum class Norm { kRms, kLayer };
  enum class Activation { kSilu, kGeluTanh, kGeluErf };
  enum class Position { kRope, kAlibi };

  std::string family;  // name of the descriptor: "llama", "bloom"
  int num_blocks = 0;
  int hidden_size = 0;
  int num_heads = 0;
  int num_kv_heads = 0;  // divides num_heads
  int head_dim = 0;
  int intermediate_size = 0;
  int vocab_size = 0;
  std::int64_t max_positions = 0;  // tokens a sequence may have

  Norm norm = Norm::kRms;
  float norm_epsilon = 1e-5f;
  Activation activation = Activation::kSilu;
  bool gated = true;  // f(gate) * up, else f(up)
  Position position = Position::kRope;
  double rope_theta = 10000;
  int rope_dims = 0;  // rotated elements of a head, from its first
  RopeScaling rope_scaling;
  int sliding_window = 0;     // visible positions, 0: all
  float attention_scale = 0;  // of query . key; set to 1/sqrt(head_dim) where a family says nothing
  float logit_soft_cap = 0;   // of attention scores, 0: none
  float embedding_scale = 1;
  bool embedding_norm = false;  // a norm between embedding and first block
  bool tied_head = false;       // the head is the embedding

  std::vector<TokenId> end_tokens;  // generation ends after one of these; may be empty
  TokenId begin_token = -1;         // -1: none
  TokenId pad_token = -1;           // -1: none

  friend bool operator==(const ModelSpec&, const ModelSpec&) = default;
};

}  // namespace fallow
