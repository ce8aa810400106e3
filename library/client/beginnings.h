// Names for how token sequences begin, by which hops find what they have computed before.
#pragma once

#include <span>
#include <string>

#include "fallow/model_spec.h"

namespace fallow {

// What Open.beginnings says of a sequence: for its first 16 tokens, its first 32, and so on,
// 16 bytes each of BLAKE2b under `key` (32 bytes): who has not the key learns only what is equal.
std::string HashBeginnings(const std::string& key, std::span<const TokenId> ids);

}  // namespace fallow
