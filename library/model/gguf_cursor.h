// Reading GGUF's numbers and strings, one after another, never beyond the end.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace fallow {

class GgufCursor {
 public:
  GgufCursor(std::span<const std::uint8_t> file, std::size_t position, std::string where)
      : file_(file), position_(position), where_(std::move(where)) {}

  std::size_t position() const { return position_; }
  std::size_t left() const { return file_.size() - position_; }

  template <typename T>
  absl::StatusOr<T> Read(std::string_view what) {
    static_assert(std::is_arithmetic_v<T>);
    if (left() < sizeof(T)) return Damaged("ends within ", std::string(what));
    T value;
    std::memcpy(&value, file_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }

  // A 64-bit length and so many bytes. Valid as long as the file.
  absl::StatusOr<std::string_view> ReadString(std::string_view what) {
    const absl::StatusOr<std::uint64_t> length = Read<std::uint64_t>(what);
    if (!length.ok()) return length.status();
    if (*length > left()) {
      return Damaged(std::string(what), " of ", *length, " bytes, expected at most ", left());
    }
    const std::string_view text(reinterpret_cast<const char*>(file_.data()) + position_, *length);
    position_ += *length;
    return text;
  }

  absl::Status Skip(std::uint64_t bytes, std::string_view what) {
    if (bytes > left()) return Damaged("ends within ", std::string(what));
    position_ += bytes;
    return absl::OkStatus();
  }

  // An error that names file and offset.
  template <typename... Args>
  absl::Status Damaged(const Args&... what) const {
    return absl::DataLossError(absl::StrCat(where_, ": offset ", position_, ": ", what...));
  }

 private:
  const std::span<const std::uint8_t> file_;
  std::size_t position_;
  const std::string where_;
};

}  // namespace fallow
