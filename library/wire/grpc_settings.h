// What both ends of a connection must agree about.
#pragma once

namespace fallow {

// The largest message is a Start with the history of a long session: about 3 bytes a token.
inline constexpr int kMaxMessageBytes = 8 << 20;

// A peer that froze, or whose network did, is noticed after the sum of the two. The server must
// allow pings as often, or it closes idle connections.
inline constexpr int kKeepaliveMs = 10'000;
inline constexpr int kKeepaliveTimeoutMs = 3'000;

// For a connection with its TLS handshake, on either side.
inline constexpr int kHandshakeTimeoutMs = 5'000;

}  // namespace fallow
