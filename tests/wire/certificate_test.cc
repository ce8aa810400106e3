#include "wire/certificate.h"

#include <string>

#include "catch2/catch_test_macros.hpp"

namespace fallow {
namespace {

constexpr absl::Duration kDay = absl::Hours(24);

TEST_CASE("a certificate proves the peer that made it", "[wire][certificate]") {
  const Identity identity = Identity::Generate();
  const TlsKeyPair one = MakeCertificate(identity);
  const TlsKeyPair two = MakeCertificate(identity);
  CHECK(PeerOfCertificate(one.certificate_pem).value() == identity.peer());
  CHECK(PeerOfCertificate(two.certificate_pem).value() == identity.peer());
  CHECK(one.private_key_pem != two.private_key_pem);
}

TEST_CASE("what is no good certificate proves nothing, and says why", "[wire][certificate]") {
  const Identity identity = Identity::Generate();
  const Identity thief = Identity::Generate();
  const std::string stolen =
      BindingOfCertificate(MakeCertificate(identity).certificate_pem).value();
  std::string damaged = stolen;
  damaged[40] ^= 1;
  struct Case {
    CertificateOptions options;
    std::string why;
  };
  const Case cases[] = {{{.valid_to = -kDay}, "expired"},
                        {{.valid_from = kDay}, "not valid yet"},
                        {{.curve = "P-384"}, "P-256"},
                        {{.curve = "secp256k1"}, "P-256"},
                        {{.binding = stolen}, "did not vouch"},
                        {{.binding = damaged}, "did not vouch"},
                        {{.binding = stolen.substr(1)}, "no peer"},
                        {{.binding = stolen + "x"}, "no peer"}};
  for (const Case& c : cases) {
    CAPTURE(c.why);
    const absl::Status status =
        PeerOfCertificate(MakeCertificate(thief, c.options).certificate_pem).status();
    CHECK(status.code() == absl::StatusCode::kPermissionDenied);
    CHECK(std::string(status.message()).find(c.why) != std::string::npos);
  }
  const std::string good = MakeCertificate(identity).certificate_pem;
  for (const std::string& pem : {std::string(), std::string("hello"), good.substr(0, 300)}) {
    CHECK(PeerOfCertificate(pem).status().code() == absl::StatusCode::kPermissionDenied);
    CHECK(BindingOfCertificate(pem).status().code() == absl::StatusCode::kInvalidArgument);
  }
}

TEST_CASE("a peer's TLS name says who it is", "[wire][certificate]") {
  const PeerId peer = Identity::Generate().peer();
  const std::string name = TlsNameOf(peer);
  CHECK(name.size() == 70);
  CHECK(name.find('.') == 32);
  CHECK(PeerOfTlsName(name).value() == peer);
  for (const std::string& wrong :
       {std::string(), name + "s", "x" + name, name.substr(1), std::string(70, 'a'),
        std::string(32, 'a') + "." + std::string(32, 'x') + ".peer"}) {
    CHECK_FALSE(PeerOfTlsName(wrong).ok());
  }
}

}  // namespace
}  // namespace fallow
