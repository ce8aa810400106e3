// Memory of the host's that a back end's calls read or write.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "kernels/backend.h"

namespace fallow {

// Where the device has the host's memory, calls get the caller's own address and nothing is copied;
// else they get that of a copy on the device, which stays where it is.
class Staged {
 public:
  // The copy has room for `bytes`. The back end is borrowed.
  static absl::StatusOr<Staged> Allocate(Backend& backend, std::int64_t bytes);
  Staged() = default;

  // The address for calls that read the `count` numbers at `host`.
  template <typename T>
  T* Send(T* host, std::int64_t count) const {
    if (!memory_) return host;
    backend_->ToDevice(memory_->data(), host, count * std::int64_t{sizeof(T)});
    return At(host);
  }

  // The address for calls that write what Fetch() then brings to `host` by Finish().
  template <typename T>
  T* At(T* host) const {
    return memory_ ? reinterpret_cast<T*>(memory_->data()) : host;
  }
  template <typename T>
  void Fetch(T* host, std::int64_t count) const {
    if (memory_) backend_->ToHost(host, memory_->data(), count * std::int64_t{sizeof(T)});
  }

 private:
  Backend* backend_ = nullptr;
  std::shared_ptr<Buffer> memory_;  // null if the device has the host's
};

}  // namespace fallow
