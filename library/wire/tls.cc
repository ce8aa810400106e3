#include "wire/tls.h"

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "grpc/grpc_security_constants.h"
#include "grpcpp/security/tls_certificate_provider.h"
#include "grpcpp/security/tls_certificate_verifier.h"
#include "grpcpp/security/tls_credentials_options.h"

namespace fallow {
namespace {

namespace tls = grpc::experimental;

constexpr char kWrongPeer[] = "fallow: wrong peer";  // found again in what calls report

std::string_view View(grpc::string_ref text) { return {text.data(), text.size()}; }

// Decides at once, so that nothing is ever pending.
class PeerVerifier : public tls::ExternalCertificateVerifier {
 public:
  bool Verify(tls::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)> /*callback*/, grpc::Status* result) final {
    const absl::Status status = Check(*request);
    *result = status.ok()
                  ? grpc::Status::OK
                  : grpc::Status(grpc::StatusCode::UNAUTHENTICATED,
                                 absl::StrCat(kWrongPeer, ": ", std::string(status.message())));
    return true;
  }

  void Cancel(tls::TlsCustomVerificationCheckRequest* /*request*/) final {}

 private:
  virtual absl::Status Check(const tls::TlsCustomVerificationCheckRequest& request) const = 0;
};

class AnyPeerVerifier final : public PeerVerifier {
  absl::Status Check(const tls::TlsCustomVerificationCheckRequest& request) const override {
    return PeerOfCertificate(View(request.peer_cert())).status();
  }
};

class ExpectedPeerVerifier final : public PeerVerifier {
  absl::Status Check(const tls::TlsCustomVerificationCheckRequest& request) const override {
    const absl::StatusOr<PeerId> peer = PeerOfCertificate(View(request.peer_cert()));
    const absl::StatusOr<PeerId> expected = PeerOfTlsName(View(request.target_name()));
    if (!peer.ok() || !expected.ok()) {
      return peer.ok() ? expected.status() : peer.status();
    }
    if (*peer != *expected) {
      return absl::PermissionDeniedError(
          absl::StrCat(peer->ToString(), ", expected ", expected->ToString()));
    }
    return absl::OkStatus();
  }
};

std::shared_ptr<tls::CertificateProviderInterface> ProviderOf(const TlsKeyPair& self) {
  return std::make_shared<tls::StaticDataCertificateProvider>(
      "", std::vector<tls::IdentityKeyCertPair>{{self.private_key_pem, self.certificate_pem}});
}

}  // namespace

std::shared_ptr<grpc::ChannelCredentials> MakeChannelCredentials(const TlsKeyPair& self) {
  tls::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(ProviderOf(self));
  options.watch_identity_key_cert_pairs();
  options.set_verify_server_certs(false);  // by an authority: the verifier does it
  options.set_check_call_host(false);
  options.set_certificate_verifier(
      tls::ExternalCertificateVerifier::Create<ExpectedPeerVerifier>());
  return tls::TlsCredentials(options);
}

void ExpectPeer(const PeerId& peer, grpc::ChannelArguments& arguments) {
  arguments.SetSslTargetNameOverride(TlsNameOf(peer));
}

std::shared_ptr<grpc::ServerCredentials> MakeServerCredentials(const TlsKeyPair& self) {
  tls::TlsServerCredentialsOptions options(ProviderOf(self));
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(
      GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_BUT_DONT_VERIFY);  // the verifier does it
  options.set_check_call_host(false);
  options.set_certificate_verifier(tls::ExternalCertificateVerifier::Create<AnyPeerVerifier>());
  return tls::TlsServerCredentials(options);
}

absl::StatusOr<PeerId> RemotePeer(const grpc::AuthContext& context) {
  const std::vector<grpc::string_ref> pem =
      context.FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  return PeerOfCertificate(pem.size() == 1 ? View(pem.front()) : std::string_view());
}

bool SaysWrongPeer(const grpc::Status& status) {
  return status.error_message().find(kWrongPeer) != std::string::npos;
}

}  // namespace fallow
