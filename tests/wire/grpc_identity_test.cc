// Who is let in, over real connections.
#include <memory>
#include <string>

#include "catch2/catch_test_macros.hpp"
#include "fallow/v1/peer.grpc.pb.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/tls_credentials_options.h"
#include "tests/wire/grpc_node.h"
#include "wire/grpc_listener.h"
#include "wire/tls.h"

namespace fallow {
namespace {

using absl::StatusCode;

TEST_CASE("gRPC: a peer with another id is PermissionDenied, also next to a good connection",
          "[wire][grpc]") {
  GrpcNode node;
  GrpcCaller caller;
  const absl::Status right = caller.Info(node.address, absl::Seconds(10)).status();
  CAPTURE(right.ToString());
  REQUIRE(right.ok());
  PeerAddress wrong = node.address;
  wrong.peer = Identity::Generate().peer();
  caller.OpenData(wrong);
  caller.data->Write(NumberedFrame(1));
  CHECK(caller.ClosedWith(StatusCode::kPermissionDenied));
  CHECK(caller.Info(wrong, absl::Seconds(10)).status().code() == StatusCode::kPermissionDenied);
  CHECK(caller.Info(node.address, absl::Seconds(10)).ok());
  CHECK(node.acceptor.datas() == 0);
}

struct BadCertificate {
  std::string what;
  CertificateOptions options;
};

std::vector<BadCertificate> BadCertificates(const Identity& victim) {
  const std::string stolen = BindingOfCertificate(MakeCertificate(victim).certificate_pem).value();
  return {{"expired", {.valid_to = -absl::Hours(24)}},
          {"not valid yet", {.valid_from = absl::Hours(24)}},
          {"wrong curve", {.curve = "P-384"}},
          {"stolen extension", {.binding = stolen}},
          {"no peer vouches", {.binding = "hello"}}};
}

grpc::Status AskInfo(const GrpcNode& node,
                     const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  ExpectPeer(node.identity.peer(), arguments);
  const auto channel =
      grpc::CreateCustomChannel(node.listener->host_port(), credentials, arguments);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  v1::InfoReply reply;
  return v1::Peer::NewStub(channel)->Info(&context, v1::InfoRequest(), &reply);
}

TEST_CASE("gRPC: clients that prove nothing are refused", "[wire][grpc]") {
  GrpcNode node;
  const Identity victim = Identity::Generate();
  const Identity client = Identity::Generate();
  CHECK(AskInfo(node, MakeChannelCredentials(MakeCertificate(client))).ok());
  for (const BadCertificate& bad : BadCertificates(victim)) {
    CAPTURE(bad.what);
    CHECK(
        AskInfo(node, MakeChannelCredentials(MakeCertificate(client, bad.options))).error_code() ==
        grpc::StatusCode::UNAVAILABLE);
  }
  CHECK(AskInfo(node, grpc::InsecureChannelCredentials()).error_code() ==
        grpc::StatusCode::UNAVAILABLE);

  grpc::experimental::TlsChannelCredentialsOptions no_certificate;
  no_certificate.set_verify_server_certs(false);
  no_certificate.set_check_call_host(false);
  no_certificate.set_certificate_verifier(
      std::make_shared<grpc::experimental::NoOpCertificateVerifier>());
  CHECK(AskInfo(node, grpc::experimental::TlsCredentials(no_certificate)).error_code() ==
        grpc::StatusCode::UNAVAILABLE);
}

TEST_CASE("gRPC: servers that prove nothing are refused, and named as wrong peers",
          "[wire][grpc]") {
  GrpcNode node;  // for its acceptor and loops
  const Identity victim = Identity::Generate();
  const Identity impostor = Identity::Generate();
  GrpcCaller caller;
  for (const BadCertificate& bad : BadCertificates(victim)) {
    CAPTURE(bad.what);
    const std::unique_ptr<Loop> control = node.transport->NewLoop("control");
    const auto listener =
        ListenOnGrpc({.listen = "127.0.0.1:0",
                      .credentials = MakeServerCredentials(MakeCertificate(impostor, bad.options)),
                      .acceptor = &node.acceptor,
                      .control = static_cast<GrpcLoop*>(control.get()),
                      .data = static_cast<GrpcLoop*>(node.data.get())});
    REQUIRE(listener.ok());
    for (const PeerId& expected : {victim.peer(), impostor.peer()}) {
      const auto address = PeerAddress::Parse((*listener)->host_port() + "#" + expected.ToString());
      CHECK(caller.Info(*address, absl::Seconds(20)).status().code() ==
            StatusCode::kPermissionDenied);
    }
  }
}

TEST_CASE("gRPC: plaintext peers are refused by those who want TLS, and the other way round",
          "[wire][grpc]") {
  GrpcNode plain(/*insecure=*/true);
  GrpcCaller caller;
  CHECK(caller.Info(plain.address, absl::Seconds(20)).status().code() == StatusCode::kUnavailable);
  GrpcNode node;
  GrpcCaller plain_caller(/*insecure=*/true);
  CHECK(plain_caller.Info(node.address, absl::Seconds(20)).status().code() ==
        StatusCode::kUnavailable);
}

}  // namespace
}  // namespace fallow
