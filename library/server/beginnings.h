// How sequences begin, so that what two have in common is computed once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace fallow {

// What a client says of a sequence's tokens: a hash of its first 16, its first 32, and so on.
class Beginnings {
 public:
  static constexpr std::int64_t kPositions = 16;  // that each further hash stands for
  static constexpr std::int64_t kHashBytes = 16;

  Beginnings() = default;
  // None unless `hashes` is a whole number of them.
  static std::optional<Beginnings> Parse(std::string hashes);

  std::int64_t positions() const;                        // the longest beginning that is named
  std::int64_t InCommon(const Beginnings& other) const;  // positions
  void Truncate(std::int64_t positions);

 private:
  explicit Beginnings(std::string hashes) : hashes_(std::move(hashes)) {}

  std::string hashes_;
};

}  // namespace fallow
