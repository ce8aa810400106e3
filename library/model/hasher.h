// BLAKE2b-256, the digest by which weights are named.
#pragma once

#include <sodium.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "model/weights.h"

namespace fallow {

// BLAKE2b-256 of a sequence of strings and numbers, each of which ends where it ends.
class Hasher {
 public:
  Hasher() { crypto_generichash_init(&state_, nullptr, 0, sizeof(Digest)); }

  void Add(std::span<const std::uint8_t> bytes) {
    Add(static_cast<std::int64_t>(bytes.size()));
    Update(bytes.data(), bytes.size());
  }
  void Add(std::string_view text) {
    Add(std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
  }
  void Add(std::int64_t number) {
    std::uint8_t bytes[sizeof(number)];
    for (std::size_t i = 0; i < sizeof(number); ++i) {
      bytes[i] = static_cast<std::uint8_t>(static_cast<std::uint64_t>(number) >> (8 * i));
    }
    Update(bytes, sizeof(bytes));
  }

  Digest Finish() {
    Digest digest;
    crypto_generichash_final(&state_, digest.data(), digest.size());
    return digest;
  }

 private:
  void Update(const std::uint8_t* data, std::size_t size) {
    crypto_generichash_update(&state_, data, size);
  }

  crypto_generichash_state state_;
};

}  // namespace fallow
