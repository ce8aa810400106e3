#include "fallow/peer.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace fallow {
namespace {

absl::StatusOr<int> ParsePort(const std::string& text) {
  int port = 0;
  if (!absl::SimpleAtoi(text, &port) || port < 1 || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("peer address: port '", text, "', expected 1 to 65535"));
  }
  return port;
}

// Takes the brackets of an IPv6 address off; only such an address may have colons.
absl::StatusOr<std::string> ParseHost(std::string_view text) {
  const bool bracketed = text.size() > 2 && text.front() == '[' && text.back() == ']';
  const std::string host(bracketed ? text.substr(1, text.size() - 2) : text);
  const bool ipv6 = host.find(':') != std::string::npos;
  if (host.empty() || ipv6 != bracketed || host.find_first_of("[]/ ") != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("peer address: host '", std::string(text),
                                                   "', expected a name, an IPv4 address or an "
                                                   "IPv6 address in brackets"));
  }
  return host;
}

}  // namespace

absl::StatusOr<PeerId> PeerId::Parse(std::string_view hex) {
  PeerId peer;
  bool valid = hex.size() == 2 * peer.bytes.size();
  for (char c : hex) {
    valid = valid && absl::ascii_isxdigit(static_cast<unsigned char>(c));
  }
  if (!valid) {
    return absl::InvalidArgumentError(
        absl::StrCat("peer id '", std::string(hex), "': expected 64 hexadecimal digits"));
  }
  const std::string bytes = absl::HexStringToBytes(std::string(hex));
  std::copy(bytes.begin(), bytes.end(), peer.bytes.begin());
  return peer;
}

std::string PeerId::ToString() const {
  return absl::BytesToHexString({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::string PeerId::ShortString() const { return ToString().substr(0, 8); }

std::ostream& operator<<(std::ostream& out, const PeerId& peer) {
  return out << peer.ShortString();
}

absl::StatusOr<PeerAddress> PeerAddress::Parse(std::string_view text) {
  const std::size_t hash = text.find('#');
  const std::size_t colon = text.substr(0, hash).rfind(':');
  if (hash == std::string_view::npos || colon == std::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("peer address '", std::string(text), "': expected host:port#peer-id"));
  }
  PeerAddress address;
  FALLOW_ASSIGN_OR_RETURN(address.host, ParseHost(text.substr(0, colon)));
  const std::string port(text.substr(colon + 1, hash - colon - 1));
  FALLOW_ASSIGN_OR_RETURN(address.port, ParsePort(port));
  FALLOW_ASSIGN_OR_RETURN(address.peer, PeerId::Parse(text.substr(hash + 1)));
  return address;
}

std::string PeerAddress::ToString() const { return absl::StrCat(HostPort(), "#", peer.ToString()); }

std::string PeerAddress::HostPort() const {
  const bool ipv6 = host.find(':') != std::string::npos;
  return ipv6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

}  // namespace fallow
