#include "tests/ptx/warp.h"

#include <algorithm>
#include <limits>

namespace fallow::ptx {

Fragment Warp::TakeRunnable() {
  const bool furthest_ahead = ++selections_ % 256 == 0;
  Fragment taken;
  for (const Fragment& fragment : fragments) {
    if (fragment.waits) continue;
    const bool before = furthest_ahead ? fragment.at > taken.at : fragment.at < taken.at;
    if (taken.lanes == 0 || before) {
      taken = fragment;
    } else if (fragment.at == taken.at) {
      taken.lanes |= fragment.lanes;
    }
  }
  std::erase_if(fragments, [&](const Fragment& fragment) {
    return !fragment.waits && fragment.at == taken.at;
  });
  return taken;
}

int Warp::NextMeeting() const {
  int next = std::numeric_limits<int>::max();
  for (const Fragment& fragment : fragments) {
    if (!fragment.waits) next = std::min(next, fragment.at);
  }
  return next;
}

}  // namespace fallow::ptx
