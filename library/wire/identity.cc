// Identities: Ed25519 keys, by libsodium.
#include <sodium.h>

#include <cstdlib>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/platform/private_file.h"
#include "base/status_macros.h"
#include "fallow/peer.h"

namespace fallow {
namespace {

constexpr std::string_view kHeader =
    "fallow identity key 1\n";  // then the seed in hex, and a line end

using Seed = std::array<std::uint8_t, crypto_sign_SEEDBYTES>;

void InitializeSodium() {
  static const int result = sodium_init();
  if (result < 0) {
    std::abort();  // the system has no randomness: no key would be one
  }
}

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string FileContents(const Seed& seed) {
  char hex[2 * sizeof(Seed) + 1];
  sodium_bin2hex(hex, sizeof(hex), seed.data(), seed.size());
  std::string contents = absl::StrCat(std::string(kHeader), hex, "\n");
  sodium_memzero(hex, sizeof(hex));
  return contents;
}

absl::StatusOr<Seed> ParseFile(const std::string& path, std::string_view contents) {
  Seed seed;
  std::size_t size = 0;
  const char* end = nullptr;
  const bool has_header = contents.substr(0, kHeader.size()) == kHeader;
  if (has_header) {
    contents.remove_prefix(kHeader.size());
  }
  while (!contents.empty() && (contents.back() == '\n' || contents.back() == '\r')) {
    contents.remove_suffix(1);
  }
  if (!has_header || contents.size() != 2 * seed.size() ||
      sodium_hex2bin(seed.data(), seed.size(), contents.data(), contents.size(), nullptr, &size,
                     &end) != 0 ||
      size != seed.size() || end != contents.data() + contents.size()) {
    return absl::DataLossError(
        path +
        ": not an identity key, expected a line \"fallow identity key 1\" and one of 64 "
        "hexadecimal digits");
  }
  return seed;
}

}  // namespace

// The one place of a secret key.
struct Identity::Secret {
  explicit Secret(Seed& seed) {
    crypto_sign_seed_keypair(peer.bytes.data(), key.data(), seed.data());
    sodium_memzero(seed.data(), seed.size());
  }
  ~Secret() { sodium_memzero(key.data(), key.size()); }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;

  PeerId peer;
  std::array<std::uint8_t, crypto_sign_SECRETKEYBYTES> key;
};

Identity::Identity(std::shared_ptr<const Secret> secret) : secret_(std::move(secret)) {}

Identity Identity::Generate() {
  InitializeSodium();
  Seed seed;
  randombytes_buf(seed.data(), seed.size());
  return Identity(std::make_shared<const Secret>(seed));
}

absl::StatusOr<Identity> Identity::LoadOrCreate(const std::string& path) {
  InitializeSodium();
  absl::StatusOr<std::string> contents = ReadPrivateFile(path);
  if (absl::IsNotFound(contents.status())) {
    Seed seed;
    randombytes_buf(seed.data(), seed.size());
    std::string made = FileContents(seed);
    const absl::Status status = CreatePrivateFile(path, made);
    sodium_memzero(made.data(), made.size());
    if (status.ok()) {
      return Identity(std::make_shared<const Secret>(seed));
    }
    if (!absl::IsAlreadyExists(status)) {
      return status;
    }
    contents = ReadPrivateFile(path);  // another process was faster
  }
  FALLOW_RETURN_IF_ERROR(contents.status());
  absl::StatusOr<Seed> seed = ParseFile(path, *contents);
  sodium_memzero(contents->data(), contents->size());
  FALLOW_RETURN_IF_ERROR(seed.status());
  return Identity(std::make_shared<const Secret>(*seed));
}

const PeerId& Identity::peer() const { return secret_->peer; }

std::array<std::uint8_t, 64> Identity::Sign(std::string_view message) const {
  std::array<std::uint8_t, 64> signature;
  crypto_sign_detached(signature.data(), nullptr, Bytes(message), message.size(),
                       secret_->key.data());
  return signature;
}

bool Verify(const PeerId& signer, std::string_view message,
            const std::array<std::uint8_t, 64>& signature) {
  InitializeSodium();
  return crypto_sign_verify_detached(signature.data(), Bytes(message), message.size(),
                                     signer.bytes.data()) == 0;
}

}  // namespace fallow
