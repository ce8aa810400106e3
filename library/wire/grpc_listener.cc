#include "wire/grpc_listener.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "fallow/v1/peer.grpc.pb.h"
#include "grpc/grpc.h"
#include "grpcpp/server.h"
#include "grpcpp/server_context.h"
#include "wire/grpc_call.h"
#include "wire/grpc_settings.h"
#include "wire/grpc_status.h"
#include "wire/tls.h"

namespace fallow {
namespace {

// A half-closed stream and a broken one look alike to who reads, until gRPC says that the call was
// cancelled: at once, but on its own way, which a busy machine may hold up.
constexpr absl::Duration kWaitForBreak = absl::Milliseconds(250);

constexpr int kMaxStreamsOfConnection = 1024;

using ControlCall = GrpcCall<v1::ControlDown, v1::ControlUp>;
using DataCall = GrpcCall<v1::Frame, v1::Frame>;

// Counts a listener's calls, those that it only waits for too: the listener waits until they have
// ended, because the server does not. Says whether the acceptor may still be called.
class AcceptorGate {
 public:
  AcceptorGate(Acceptor& acceptor, bool identified)
      : acceptor_(acceptor), identified_(identified) {}

  // False if no more calls are wanted.
  bool BeginCall() {
    absl::MutexLock lock(&mutex_);
    calls_ += closed_ ? 0 : 1;
    return !closed_;
  }
  void EndCall() {
    absl::MutexLock lock(&mutex_);
    --calls_;
  }

  // Calls function(acceptor, remote), or says why not. Within a call.
  template <class Function>
  absl::Status Admit(const grpc::ServerContext& context, Function function) {
    PeerId remote;
    if (identified_) {
      FALLOW_ASSIGN_OR_RETURN(remote, RemotePeer(*context.auth_context()));
    }
    {
      absl::MutexLock lock(&mutex_);
      if (closed_) {
        return absl::UnavailableError("the peer stopped listening");
      }
    }
    function(acceptor_, remote);
    return absl::OkStatus();
  }

  void Close() {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }
  void WaitForCalls() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](int* calls) { return *calls == 0; }, &calls_));
  }

 private:
  Acceptor& acceptor_;
  const bool identified_;
  absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;
};

// What a listener's calls need until they have ended.
struct ServerParts {
  ServerParts(const GrpcListenOptions& options)
      : gate(*options.acceptor, options.identified),
        control(*options.control),
        data(*options.data) {}

  AcceptorGate gate;
  GrpcLoop& control;
  GrpcLoop& data;
  v1::Peer::AsyncService service;
};

// The server's side of a stream.
template <class Out, class In>
class ServerCall final : public GrpcCall<Out, In> {
 public:
  using Rpc = grpc::ServerAsyncReaderWriter<Out, In>;
  using RequestMethod = void (*)(ServerParts&, grpc::ServerContext*, Rpc*, void* tag);
  using AcceptMethod = void (Acceptor::*)(const PeerId&, std::unique_ptr<Stream<Out, In>>);

  struct Methods {
    RequestMethod request;
    AcceptMethod accept;
  };

  ServerCall(GrpcLoop& loop, ServerParts& parts, Methods methods)
      : GrpcCall<Out, In>(loop), parts_(parts), methods_(methods) {}

  // Waits for a call, and then for the next with another object.
  static void Request(GrpcLoop& loop, ServerParts& parts, Methods methods) {
    if (!parts.gate.BeginCall()) {
      return;
    }
    const auto call = std::make_shared<ServerCall>(loop, parts, methods);
    call->BeginOperation();  // its end
    call->BeginOperation();  // its way to the acceptor
    call->context_.emplace().AsyncNotifyWhenDone(end_tag(*call));
    call->rpc_.emplace(&*call->context_);
    methods.request(parts, &*call->context_, &*call->rpc_, call->request_tag_.Begin(call));
  }

  void Finish(absl::Status status) override {
    this->DropHandler();
    GrpcCall<Out, In>::Finish(std::move(status));
  }

 private:
  static void* end_tag(ServerCall& call) { return call.end_tag_.Begin(call.Self()); }

  std::shared_ptr<ServerCall> Self() {
    return std::static_pointer_cast<ServerCall>(this->shared_from_this());
  }

  // On the control loop, whatever the call's loop is.
  void OnRequested(bool ok) {
    if (ok) {
      Request(this->loop(), parts_, methods_);
      this->loop().Add(*this);
      this->loop().Post([self = Self()] { self->OnArrived(); });
    } else {
      end_tag_.Forget();  // gRPC does not send it
      Destroy();
    }
  }

  void OnArrived() {
    this->BeginOperation();
    rpc_->SendInitialMetadata(metadata_tag_.Begin(Self()));
    this->OpenReading();
    auto stream = std::make_unique<GrpcStream<Out, In>>(Self());
    const absl::Status status =
        parts_.gate.Admit(*context_, [&](Acceptor& acceptor, const PeerId& remote) {
          (acceptor.*methods_.accept)(remote, std::move(stream));
        });
    if (!status.ok()) {
      stream->Finish(status);
    }
    this->EndOperation();
  }

  void OnMetadataSent(bool ok) {
    if (ok) {
      this->OpenWriting();
    }
    this->EndOperation();
  }

  void OnReadEnded() override {
    this->loop().After(kWaitForBreak, [self = Self()] { self->Close(absl::OkStatus()); });
  }

  void OnEnd(bool /*ok*/) {
    this->End(context_->IsCancelled() ? absl::UnavailableError("the peer broke the stream")
                                      : absl::OkStatus());
    this->EndOperation();
  }

  void IssueRead(In* message, void* tag) override { rpc_->Read(message, tag); }
  void IssueWrite(const Out& message, void* tag) override { rpc_->Write(message, tag); }
  void IssueEnd(const absl::Status& status, void* tag) override {
    rpc_->Finish(ToGrpcStatus(status), tag);
  }
  void TryCancel() override { context_->TryCancel(); }
  void Destroy() override {
    rpc_ = std::nullopt;
    context_ = std::nullopt;
    parts_.gate.EndCall();
  }

  ServerParts& parts_;  // until Destroy
  const Methods methods_;
  std::optional<grpc::ServerContext> context_;
  std::optional<Rpc> rpc_;
  GrpcTag<ServerCall> request_tag_{parts_.control, &ServerCall::OnRequested};
  GrpcTag<ServerCall> metadata_tag_{this->loop(), &ServerCall::OnMetadataSent};
  GrpcTag<ServerCall> end_tag_{this->loop(), &ServerCall::OnEnd};
};

// Ends a call when it goes.
struct EndOfCall {
  ~EndOfCall() { gate.EndCall(); }
  AcceptorGate& gate;
};

// One question and the answer, on the control loop.
class InfoAnswer final : public GrpcOperation, public std::enable_shared_from_this<InfoAnswer> {
 public:
  explicit InfoAnswer(ServerParts& parts) : parts_(parts) {}

  static void Request(ServerParts& parts) {
    if (!parts.gate.BeginCall()) {
      return;
    }
    const auto call = std::make_shared<InfoAnswer>(parts);
    parts.service.RequestInfo(&call->context_, &call->request_, &call->responder_,
                              &parts.control.completion_queue(), &parts.control.completion_queue(),
                              call->request_tag_.Begin(call));
  }

  void Cancel() override { context_.TryCancel(); }

 private:
  void OnRequested(bool ok) {
    if (ok) {
      Request(parts_);
      parts_.control.Add(*this);
      Answer();
    }
  }

  void Answer() {
    v1::InfoReply reply;
    const absl::Status status = parts_.gate.Admit(
        context_,
        [&](Acceptor& acceptor, const PeerId& remote) { reply = acceptor.OnInfo(remote); });
    void* const tag = answer_tag_.Begin(shared_from_this());
    if (status.ok()) {
      responder_.Finish(reply, grpc::Status::OK, tag);
    } else {
      responder_.FinishWithError(ToGrpcStatus(status), tag);
    }
  }

  void OnAnswered(bool /*ok*/) { parts_.control.Remove(*this); }

  ServerParts& parts_;
  const EndOfCall end_{parts_.gate};  // before gRPC's objects, to go after them
  grpc::ServerContext context_;
  v1::InfoRequest request_;
  grpc::ServerAsyncResponseWriter<v1::InfoReply> responder_{&context_};
  GrpcTag<InfoAnswer> request_tag_{parts_.control, &InfoAnswer::OnRequested};
  GrpcTag<InfoAnswer> answer_tag_{parts_.control, &InfoAnswer::OnAnswered};
};

class GrpcListener final : public Listener {
 public:
  GrpcListener(std::unique_ptr<ServerParts> parts, std::unique_ptr<grpc::Server> server,
               std::string host_port)
      : parts_(std::move(parts)), server_(std::move(server)), host_port_(std::move(host_port)) {
    RequestCalls();
  }

  // The server first, then what is left in its queues.
  ~GrpcListener() override {
    parts_->gate.Close();
    server_->Shutdown(std::chrono::system_clock::now());
    parts_->gate.WaitForCalls();
  }

  std::string host_port() const override { return host_port_; }

 private:
  void RequestCalls() {
    InfoAnswer::Request(*parts_);
    ServerCall<v1::ControlDown, v1::ControlUp>::Request(
        parts_->control, *parts_,
        {.request =
             [](ServerParts& parts, auto* context, auto* rpc, void* tag) {
               parts.service.RequestControl(context, rpc, &parts.control.completion_queue(),
                                            &parts.control.completion_queue(), tag);
             },
         .accept = &Acceptor::OnControl});
    ServerCall<v1::Frame, v1::Frame>::Request(
        parts_->data, *parts_,
        {.request =
             [](ServerParts& parts, auto* context, auto* rpc, void* tag) {
               parts.service.RequestData(context, rpc, &parts.data.completion_queue(),
                                         &parts.control.completion_queue(), tag);
             },
         .accept = &Acceptor::OnData});
  }

  const std::unique_ptr<ServerParts> parts_;
  const std::unique_ptr<grpc::Server> server_;
  const std::string host_port_;
};

void SetConnectionArguments(grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsOfConnection);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kKeepaliveMs / 2);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> ListenOnGrpc(const GrpcListenOptions& options) {
  const std::size_t colon = options.listen.rfind(':');
  if (colon == std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("listen '", options.listen, "', expected host:port"));
  }
  const std::unique_ptr<grpc::ServerBuilder> builder =
      options.control->queue()->TakeServerBuilder();
  if (builder == nullptr) {
    return absl::FailedPreconditionError("this control loop has had a listener already");
  }
  auto parts = std::make_unique<ServerParts>(options);
  int port = 0;
  SetConnectionArguments(*builder);
  builder->RegisterService(&parts->service);
  builder->AddListeningPort(options.listen, options.credentials, &port);
  std::unique_ptr<grpc::Server> server = builder->BuildAndStart();
  if (server == nullptr || port == 0) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", options.listen));
  }
  return std::make_unique<GrpcListener>(std::move(parts), std::move(server),
                                        absl::StrCat(options.listen.substr(0, colon), ":", port));
}

}  // namespace fallow
