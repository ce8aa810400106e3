#include "client/beginnings.h"

#include <array>
#include <bit>

#include "sodium.h"

namespace fallow {
namespace {

constexpr std::size_t kTokens = 16;
constexpr std::size_t kHashBytes = 16;

static_assert(std::endian::native == std::endian::little, "ids are hashed as they lie in memory");

}  // namespace

std::string HashBeginnings(const std::string& key, std::span<const TokenId> ids) {
  crypto_generichash_state all;
  crypto_generichash_init(&all, reinterpret_cast<const unsigned char*>(key.data()), key.size(),
                          kHashBytes);
  std::string hashes;
  for (; ids.size() >= kTokens; ids = ids.subspan(kTokens)) {
    const auto bytes = std::as_bytes(ids.first(kTokens));
    crypto_generichash_update(&all, reinterpret_cast<const unsigned char*>(bytes.data()),
                              bytes.size());
    crypto_generichash_state so_far = all;
    std::array<unsigned char, kHashBytes> hash;
    crypto_generichash_final(&so_far, hash.data(), hash.size());
    hashes.append(hash.begin(), hash.end());
  }
  return hashes;
}

}  // namespace fallow
