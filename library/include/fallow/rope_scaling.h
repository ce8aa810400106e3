// How a model stretches rotary position embedding beyond the length it was first trained for.
#pragma once

#include <cstdint>

namespace fallow {

// The kinds and parameters of Hugging Face's "rope_scaling" entry. Fields that a kind does not name
// are not read by it.
struct RopeScaling {
  enum class Kind {
    kNone,
    kLinear,   // factor
    kDynamic,  // factor, original_max_positions: the base grows with position (NTK-aware)
    kLlama3,   // factor, low_freq_factor, high_freq_factor, original_max_positions
    kYarn,     // factor, original_max_positions, beta_*, truncate, attention_factor, mscale*
  };

  Kind kind = Kind::kNone;
  double factor = 1;
  std::int64_t original_max_positions = 0;

  double low_freq_factor = 1;
  double high_freq_factor = 4;

  double beta_fast = 32;
  double beta_slow = 1;
  bool truncate = true;         // round the ends of the ramp to whole dimensions
  double attention_factor = 0;  // multiplies cosines and sines; 0: derived from factor and mscale*
  double mscale = 0;            // 0: not given
  double mscale_all_dim = 0;    // likewise

  friend bool operator==(const RopeScaling&, const RopeScaling&) = default;
};

}  // namespace fallow
