#include "model/device_tables.h"

#include <algorithm>

#include "base/status_macros.h"

namespace fallow {

absl::Status DeviceTables::Grow(std::int64_t positions) {
  std::int64_t sent = tables_.positions();
  if (positions <= sent) return absl::OkStatus();
  if (!backend_.unified() && positions > capacity_) {
    const std::int64_t capacity = std::max(positions, 2 * capacity_);
    FALLOW_ASSIGN_OR_RETURN(cosine_, AllocateFloats(backend_, capacity * tables_.pairs()));
    FALLOW_ASSIGN_OR_RETURN(sine_, AllocateFloats(backend_, capacity * tables_.pairs()));
    capacity_ = capacity;
    sent = 0;
  }
  tables_.Grow(positions);
  if (capacity_ > 0) Send(sent);
  return absl::OkStatus();
}

void DeviceTables::Send(std::int64_t first_position) {
  const std::int64_t begin = first_position * tables_.pairs();
  const std::int64_t bytes =
      (tables_.positions() * tables_.pairs() - begin) * std::int64_t{sizeof(float)};
  for (const auto& [to, from] :
       {std::pair(cosine_.data(), tables_.cosine()), std::pair(sine_.data(), tables_.sine())}) {
    backend_.ToDevice(reinterpret_cast<std::uint8_t*>(to + begin), from + begin, bytes);
  }
}

}  // namespace fallow
