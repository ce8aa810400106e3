// Copies between the host's memory and a device's, by way of pinned memory.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/cuda/runtime.h"

namespace fallow::cuda {

// Borrows the run time.
class Staging {
 public:
  explicit Staging(Runtime& runtime) : runtime_(runtime) {}
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  // Enqueued; `from` may change at once, `to` of the host is written by Finish(). What does not fit
  // waits for the stream. ResourceExhausted if there is no pinned memory, and the run time's
  // errors.
  absl::Status ToDevice(std::uint8_t* to, const void* from, std::int64_t bytes);
  absl::Status ToHost(void* to, const std::uint8_t* from, std::int64_t bytes);

  // Waits for the stream.
  absl::Status Finish();

 private:
  struct Arrival {  // at the host
    std::uint8_t* to;
    const std::uint8_t* from;
    std::int64_t bytes;
  };
  struct Piece {
    std::uint8_t* pinned;
    std::int64_t bytes;
  };
  absl::StatusOr<Piece> Take(std::int64_t bytes);

  Runtime& runtime_;
  std::uint8_t* memory_ = nullptr;
  std::int64_t used_ = 0;
  std::vector<Arrival> arrivals_;
};

}  // namespace fallow::cuda
