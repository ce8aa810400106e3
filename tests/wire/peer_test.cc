#include "fallow/peer.h"

#include <string>

#include "catch2/catch_test_macros.hpp"

namespace fallow {
namespace {

const std::string kHex = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

TEST_CASE("a peer id is 64 hexadecimal digits", "[wire][peer]") {
  const auto peer = PeerId::Parse(kHex);
  REQUIRE(peer.ok());
  CHECK(peer->ToString() == kHex);
  CHECK(peer->ShortString() == "00112233");
  CHECK(peer->bytes[15] == 0xff);
  CHECK_FALSE(peer->empty());
  CHECK(PeerId{}.empty());
  CHECK(PeerId::Parse("00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff").value() ==
        *peer);

  for (const std::string& wrong :
       {std::string(), kHex.substr(1), kHex + "0", kHex.substr(2) + "g0", std::string(64, ' ')}) {
    CAPTURE(wrong);
    CHECK(PeerId::Parse(wrong).status().code() == absl::StatusCode::kInvalidArgument);
  }
}

TEST_CASE("an address is written as it was read", "[wire][peer]") {
  struct Case {
    std::string text, host, host_port;
    int port;
  };
  for (const Case& c : {Case{"example.org:7000", "example.org", "example.org:7000", 7000},
                        Case{"10.0.0.1:1", "10.0.0.1", "10.0.0.1:1", 1},
                        Case{"[::1]:65535", "::1", "[::1]:65535", 65535},
                        Case{"[fe80::1%eth0]:80", "fe80::1%eth0", "[fe80::1%eth0]:80", 80}}) {
    CAPTURE(c.text);
    const auto address = PeerAddress::Parse(c.text + "#" + kHex);
    REQUIRE(address.ok());
    CHECK(address->host == c.host);
    CHECK(address->port == c.port);
    CHECK(address->peer.ToString() == kHex);
    CHECK(address->HostPort() == c.host_port);
    CHECK(address->ToString() == c.text + "#" + kHex);
  }
}

TEST_CASE("what is wrong with an address is named", "[wire][peer]") {
  struct Case {
    std::string text, named;
  };
  for (const Case& c :
       {Case{"", "host:port#peer-id"}, Case{"example.org:1", "host:port#peer-id"},
        Case{"example.org#" + kHex, "host:port#peer-id"}, Case{":1#" + kHex, "host ''"},
        Case{"::1:80#" + kHex, "host '::1'"}, Case{"[::1:80#" + kHex, "host '[::1'"},
        Case{"[]:80#" + kHex, "host '[]'"}, Case{"[a]:80#" + kHex, "host '[a]'"},
        Case{"a b:80#" + kHex, "host 'a b'"}, Case{"a:#" + kHex, "port ''"},
        Case{"a:0#" + kHex, "port '0'"}, Case{"a:65536#" + kHex, "port '65536'"},
        Case{"a:7x#" + kHex, "port '7x'"}, Case{"a:7#12", "peer id '12'"}}) {
    CAPTURE(c.text);
    const absl::Status status = PeerAddress::Parse(c.text).status();
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    CHECK(std::string(status.message()).find(c.named) != std::string::npos);
  }
}

}  // namespace
}  // namespace fallow
