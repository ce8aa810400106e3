// Attention with linear biases: how fast each head's scores fall with distance.
#pragma once

#include <vector>

namespace fallow {

// With a power of two of heads n, head i has 2^(-8 (i + 1) / n). With others, the first 2^k <=
// heads have those of 2^k, the rest every other one of 2^(k + 1), from its first on. Source: Press
// et al., Train short, test long, 2022, and the code published with it.
std::vector<float> AlibiSlopes(int heads);

}  // namespace fallow
