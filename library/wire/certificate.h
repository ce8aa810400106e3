// TLS certificates that prove a peer id without any authority.
//
// A certificate holds a throw-away P-256 key and an extension: the peer's Ed25519 public key and
// its signature over the P-256 key. TLS proves that the other side has the P-256 key, the signature
// that the peer vouches for it. So the identity key itself never meets the TLS library, some of
// which refuse Ed25519 certificates.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fallow/peer.h"

namespace fallow {

struct TlsKeyPair {
  std::string private_key_pem;
  std::string certificate_pem;
};

// The defaults make good certificates. The key is thrown away with the process, so the time of
// validity need not protect it, only span wrong clocks.
struct CertificateOptions {
  std::string curve = "P-256";
  absl::Duration valid_from = -30 * absl::Hours(24);  // from now
  absl::Duration valid_to = 3650 * absl::Hours(24);
  std::string binding = {};  // contents of the extension; empty: made for the key
};

TlsKeyPair MakeCertificate(const Identity& identity, const CertificateOptions& options = {});

// The peer that a certificate belongs to, provided that the other side has its key.
// PermissionDenied says why it proves nothing.
absl::StatusOr<PeerId> PeerOfCertificate(std::string_view pem);

// The raw contents of the extension, unchecked. InvalidArgument if there is none.
absl::StatusOr<std::string> BindingOfCertificate(std::string_view pem);

// A host name that stands for a peer where TLS wants one: two labels of 32 digits and "peer".
std::string TlsNameOf(const PeerId& peer);
absl::StatusOr<PeerId> PeerOfTlsName(std::string_view name);

}  // namespace fallow
