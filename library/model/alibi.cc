#include "model/alibi.h"

#include <bit>
#include <cmath>

namespace fallow {

std::vector<float> AlibiSlopes(int heads) {
  const int power_of_two = static_cast<int>(std::bit_floor(static_cast<unsigned>(heads)));
  // Square roots and products, unlike pow, have the same bits everywhere.
  double ratio = 0x1p-8;
  for (int n = power_of_two; n > 1; n /= 2) ratio = std::sqrt(ratio);

  std::vector<float> slopes;
  double slope = 1;
  for (int head = 0; head < power_of_two; ++head) {
    slope *= ratio;
    slopes.push_back(static_cast<float>(slope));
  }
  slope = std::sqrt(ratio);
  for (int head = power_of_two; head < heads; ++head) {
    slopes.push_back(static_cast<float>(slope));
    slope *= ratio;
  }
  return slopes;
}

}  // namespace fallow
