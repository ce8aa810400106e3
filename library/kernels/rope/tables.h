// Cosines and sines of rotary position embedding, made on the host.
//
// In double with + - * / and fused multiply-add alone, then rounded to float once, so that every
// machine makes the same bits. Within 3e-8 of the mathematical value up to position 131,071.
#pragma once

#include <cstdint>
#include <vector>

#include "fallow/rope_scaling.h"

namespace fallow {

// The angle per position of each of the dims / 2 rotated pairs, in a sequence of `length`
// positions: theta^(-2i / dims), changed as `scaling` says. Only kDynamic depends on `length`.
// dims is even and positive (above 2 for kDynamic), theta > 1, and scaling.original_max_positions
// positive where it is read.
std::vector<float> InverseFrequencies(int dims, double theta, const RopeScaling& scaling,
                                      std::int64_t length);

// What cosines and sines are multiplied by: 1 for all kinds but kYarn.
double RopeAttentionFactor(const RopeScaling& scaling);

// Tables [positions, dims / 2] for positions [0, positions()), made as they are asked for, so that
// a server can start with few. Position p's row never changes: with kDynamic it is that of a
// sequence of max(p + 1, original_max_positions). Not thread-safe.
class RopeTables {
 public:
  RopeTables(int dims, double theta, const RopeScaling& scaling);

  // Makes the rows of positions [positions(), positions); fewer do nothing. Moves the tables.
  void Grow(std::int64_t positions);

  std::int64_t positions() const { return positions_; }
  int pairs() const { return dims_ / 2; }
  const float* cosine() const { return cosine_.data(); }
  const float* sine() const { return sine_.data(); }

 private:
  int dims_;
  double theta_;
  RopeScaling scaling_;
  double attention_factor_;
  std::vector<float> base_frequencies_;  // of positions below original_max_positions
  std::int64_t positions_ = 0;
  std::vector<float> cosine_;
  std::vector<float> sine_;
};

}  // namespace fallow
