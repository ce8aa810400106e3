// How a thread's processor rounds.
#pragma once

#include <cstdint>

namespace fallow {

// While one lives, floats of its thread round to nearest even and subnormals are kept, as the exact
// class demands. Any library of the process that was linked with -ffast-math may have set
// otherwise.
class DefaultFloatMode {
 public:
  DefaultFloatMode();
  ~DefaultFloatMode();
  DefaultFloatMode(const DefaultFloatMode&) = delete;
  DefaultFloatMode& operator=(const DefaultFloatMode&) = delete;

 private:
  std::uint64_t saved_;
};

}  // namespace fallow
