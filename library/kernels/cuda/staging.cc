#include "kernels/cuda/staging.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace fallow::cuda {
namespace {

constexpr std::int64_t kBytes = 8 << 20;
constexpr std::int64_t kAlignment = 256;

}  // namespace

Staging::~Staging() {
  if (memory_) runtime_.FreePinned(memory_);
}

absl::StatusOr<Staging::Piece> Staging::Take(std::int64_t bytes) {
  if (!memory_) memory_ = runtime_.AllocatePinned(kBytes);
  if (!memory_) {
    return absl::ResourceExhaustedError(
        absl::StrCat(runtime_.name(), ": no ", kBytes, " bytes of pinned memory"));
  }
  if (used_ == kBytes) FALLOW_RETURN_IF_ERROR(Finish());
  const Piece piece{memory_ + used_, std::min(bytes, kBytes - used_)};
  used_ += (piece.bytes + kAlignment - 1) / kAlignment * kAlignment;
  return piece;
}

absl::Status Staging::ToDevice(std::uint8_t* to, const void* from, std::int64_t bytes) {
  for (std::int64_t done = 0; done < bytes;) {
    FALLOW_ASSIGN_OR_RETURN(const Piece piece, Take(bytes - done));
    std::memcpy(piece.pinned, static_cast<const std::uint8_t*>(from) + done, piece.bytes);
    runtime_.CopyToDevice(to + done, piece.pinned, piece.bytes);
    done += piece.bytes;
  }
  return absl::OkStatus();
}

absl::Status Staging::ToHost(void* to, const std::uint8_t* from, std::int64_t bytes) {
  for (std::int64_t done = 0; done < bytes;) {
    FALLOW_ASSIGN_OR_RETURN(const Piece piece, Take(bytes - done));
    runtime_.CopyToHost(piece.pinned, from + done, piece.bytes);
    arrivals_.push_back({static_cast<std::uint8_t*>(to) + done, piece.pinned, piece.bytes});
    done += piece.bytes;
  }
  return absl::OkStatus();
}

absl::Status Staging::Finish() {
  const absl::Status status = runtime_.Synchronize();
  for (const Arrival& arrival : std::exchange(arrivals_, {})) {
    if (status.ok()) std::memcpy(arrival.to, arrival.from, arrival.bytes);
  }
  used_ = 0;
  return status;
}

}  // namespace fallow::cuda
