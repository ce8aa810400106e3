#include "server/beginnings.h"

#include <algorithm>

namespace fallow {

std::optional<Beginnings> Beginnings::Parse(std::string hashes) {
  if (hashes.size() % kHashBytes != 0) return std::nullopt;
  return Beginnings(std::move(hashes));
}

std::int64_t Beginnings::positions() const { return std::ssize(hashes_) / kHashBytes * kPositions; }

std::int64_t Beginnings::InCommon(const Beginnings& other) const {
  const auto size = std::min(hashes_.size(), other.hashes_.size());
  const auto end = hashes_.begin() + size;
  const auto differs = std::mismatch(hashes_.begin(), end, other.hashes_.begin()).first;
  return (differs - hashes_.begin()) / kHashBytes * kPositions;
}

void Beginnings::Truncate(std::int64_t positions) {
  hashes_.resize(std::min<std::size_t>(hashes_.size(), positions / kPositions * kHashBytes));
}

}  // namespace fallow
