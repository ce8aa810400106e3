// BLAKE2b-256, the digest by which weights are named.
#pragma once

#include <sodium.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "model/weights.h"

namespace fallow {

// Of bytes, however they are handed over.
class ByteHasher {
 public:
  ByteHasher() { crypto_generichash_init(&state_, nullptr, 0, sizeof(Digest)); }

  void Add(std::span<const std::uint8_t> bytes) {
    crypto_generichash_update(&state_, bytes.data(), bytes.size());
  }

  Digest Finish() {
    Digest digest;
    crypto_generichash_final(&state_, digest.data(), digest.size());
    return digest;
  }

 private:
  crypto_generichash_state state_;
};

// Of a sequence of strings and numbers, each of which ends where it ends.
class Hasher {
 public:
  void Add(std::span<const std::uint8_t> bytes) {
    Add(static_cast<std::int64_t>(bytes.size()));
    bytes_.Add(bytes);
  }
  void Add(std::string_view text) {
    Add(std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
  }
  void Add(std::int64_t number) {
    std::uint8_t bytes[sizeof(number)];
    for (std::size_t i = 0; i < sizeof(number); ++i) {
      bytes[i] = static_cast<std::uint8_t>(static_cast<std::uint64_t>(number) >> (8 * i));
    }
    bytes_.Add(bytes);
  }

  Digest Finish() { return bytes_.Finish(); }

 private:
  ByteHasher bytes_;
};

}  // namespace fallow
