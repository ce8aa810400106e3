#include "fallow/model_spec.h"

namespace fallow {

std::string ToString(const BlockRange& range) {
  return "[" + std::to_string(range.begin) + ", " + std::to_string(range.end) + ")";
}

std::ostream& operator<<(std::ostream& out, const BlockRange& range) {
  return out << ToString(range);
}

}  // namespace fallow
