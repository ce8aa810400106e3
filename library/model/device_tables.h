// Tables of rotary position embedding where a back end reads them.
#pragma once

#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "kernels/backend.h"
#include "kernels/rope/tables.h"
#include "model/slots.h"

namespace fallow {

// As RopeTables, whose rows it makes. Borrows the back end.
class DeviceTables {
 public:
  DeviceTables(Backend& backend, RopeTables tables)
      : backend_(backend), tables_(std::move(tables)) {}

  // Makes the rows of positions [0, positions) that are missing. May move the tables.
  // ResourceExhausted if there is no memory.
  absl::Status Grow(std::int64_t positions);

  // [positions, dims / 2]
  const float* cosine() const { return capacity_ > 0 ? cosine_.data() : tables_.cosine(); }
  const float* sine() const { return capacity_ > 0 ? sine_.data() : tables_.sine(); }

 private:
  void Send(std::int64_t first_position);

  Backend& backend_;
  RopeTables tables_;
  // Copies; none if the device has the host's memory.
  std::int64_t capacity_ = 0;  // positions
  DeviceVector cosine_;
  DeviceVector sine_;
};

}  // namespace fallow
