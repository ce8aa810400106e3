// Who takes part: keys, names and addresses of peers.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace fallow {

// The public half of a peer's Ed25519 key. Written as 64 hex digits.
struct PeerId {
  std::array<std::uint8_t, 32> bytes{};

  // InvalidArgument unless `hex` is 64 hex digits.
  static absl::StatusOr<PeerId> Parse(std::string_view hex);
  std::string ToString() const;
  std::string ShortString() const;  // the first 8 digits, for logs

  bool empty() const { return *this == PeerId{}; }  // all zero: nobody
  friend auto operator<=>(const PeerId&, const PeerId&) = default;
};
std::ostream& operator<<(std::ostream& out, const PeerId& peer);

// Where a peer listens: "host:port#peer-id". IPv6 hosts stand in brackets.
struct PeerAddress {
  std::string host;
  int port = 0;
  PeerId peer;

  // InvalidArgument names what is wrong with `text`.
  static absl::StatusOr<PeerAddress> Parse(std::string_view text);
  std::string ToString() const;
  std::string HostPort() const;
  friend bool operator==(const PeerAddress&, const PeerAddress&) = default;
};

// A peer's key pair. Cheap to copy; the secret stays in one place and is wiped at the end.
class Identity {
 public:
  static Identity Generate();

  // Reads the key in `path`, or makes one there (mode 0600) if there is no file. DataLoss if the
  // file is damaged, PermissionDenied if others may read it or it cannot be opened.
  static absl::StatusOr<Identity> LoadOrCreate(const std::string& path);

  const PeerId& peer() const;
  std::array<std::uint8_t, 64> Sign(std::string_view message) const;  // Ed25519, RFC 8032

 private:
  struct Secret;
  explicit Identity(std::shared_ptr<const Secret> secret);
  std::shared_ptr<const Secret> secret_;
};

bool Verify(const PeerId& signer, std::string_view message,
            const std::array<std::uint8_t, 64>& signature);

}  // namespace fallow
