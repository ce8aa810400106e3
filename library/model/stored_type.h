// Sizes of the stored types, for the readers of checkpoints.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "model/checkpoint.h"

namespace fallow {

// A type's elements lie in blocks of so many, each so many bytes long.
int BlockElements(StoredType type);
int BlockBytes(StoredType type);
bool IsQuantised(StoredType type);

std::optional<StoredType> StoredTypeNamed(std::string_view name);  // "F32", "Q4_K"

// More elements than any tensor has; their bytes never overflow.
inline constexpr std::int64_t kMaxElements = std::int64_t{1} << 48;

// The product; none where a size is negative or the product is over kMaxElements.
std::optional<std::int64_t> CheckedElements(std::span<const std::int64_t> shape);

}  // namespace fallow
