// Buffers within buffers.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "kernels/backend.h"

namespace fallow {

// Part of another buffer, which it keeps.
class BufferPart : public Buffer {
 public:
  BufferPart(std::shared_ptr<Buffer> whole, std::int64_t begin, std::int64_t bytes)
      : whole_(std::move(whole)), begin_(begin), bytes_(bytes) {}

  std::uint8_t* data() override { return whole_->data() + begin_; }
  std::int64_t size() const override { return bytes_; }

 private:
  const std::shared_ptr<Buffer> whole_;
  const std::int64_t begin_;
  const std::int64_t bytes_;
};

}  // namespace fallow
