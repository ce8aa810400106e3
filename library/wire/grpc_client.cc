#include "wire/grpc_client.h"

#include <chrono>
#include <utility>

#include "fallow/v1/peer.grpc.pb.h"
#include "grpcpp/client_context.h"
#include "wire/grpc_call.h"
#include "wire/grpc_status.h"

namespace fallow {
namespace {

// The client's side of a stream: starts, waits for the server's initial metadata, and from then on
// for the end of the call, so that a break is noticed while nothing is read.
template <class Out, class In>
class ClientCall final : public GrpcCall<Out, In> {
 public:
  using Rpc = grpc::ClientAsyncReaderWriter<Out, In>;
  using Prepare = std::unique_ptr<Rpc> (v1::Peer::Stub::*)(grpc::ClientContext*,
                                                           grpc::CompletionQueue*);

  ClientCall(GrpcLoop& loop, const std::shared_ptr<grpc::Channel>& channel)
      : GrpcCall<Out, In>(loop), stub_(v1::Peer::NewStub(channel)) {}

  void Begin(Prepare prepare) {
    rpc_ = (stub_.get()->*prepare)(&context_.emplace(), &this->loop().completion_queue());
    this->loop().Add(*this);
    this->BeginOperation();
    rpc_->StartCall(start_tag_.Begin(Self()));
  }

 private:
  std::shared_ptr<ClientCall> Self() {
    return std::static_pointer_cast<ClientCall>(this->shared_from_this());
  }

  void OnStarted(bool ok) {
    if (ok) {
      this->OpenWriting();
    }
    this->BeginOperation();
    rpc_->ReadInitialMetadata(metadata_tag_.Begin(Self()));
    this->EndOperation();
  }

  void OnMetadata(bool ok) {
    this->BeginOperation();
    rpc_->Finish(&status_, end_tag_.Begin(Self()));
    if (ok) {
      this->OpenReading();
    }
    this->EndOperation();
  }

  void OnEnd(bool /*ok*/) {
    this->End(FromGrpcStatus(status_));
    this->EndOperation();
  }

  void IssueRead(In* message, void* tag) override { rpc_->Read(message, tag); }
  void IssueWrite(const Out& message, void* tag) override { rpc_->Write(message, tag); }
  void IssueEnd(const absl::Status& /*status*/, void* tag) override { rpc_->WritesDone(tag); }
  void TryCancel() override { context_->TryCancel(); }
  void Destroy() override {
    rpc_ = nullptr;
    context_ = std::nullopt;
    stub_ = nullptr;
  }

  std::unique_ptr<v1::Peer::Stub> stub_;
  std::optional<grpc::ClientContext> context_;
  std::unique_ptr<Rpc> rpc_;
  grpc::Status status_;
  GrpcTag<ClientCall> start_tag_{this->loop(), &ClientCall::OnStarted};
  GrpcTag<ClientCall> metadata_tag_{this->loop(), &ClientCall::OnMetadata};
  GrpcTag<ClientCall> end_tag_{this->loop(), &ClientCall::OnEnd};
};

class InfoCall final : public GrpcOperation, public std::enable_shared_from_this<InfoCall> {
 public:
  InfoCall(GrpcLoop& loop, const std::shared_ptr<grpc::Channel>& channel, Transport::InfoDone done)
      : loop_(loop), stub_(v1::Peer::NewStub(channel)), done_(std::move(done)) {}

  void Begin(absl::Duration timeout) {
    context_.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMicroseconds(timeout));
    loop_.Add(*this);
    rpc_ = stub_->AsyncInfo(&context_, v1::InfoRequest(), &loop_.completion_queue());
    rpc_->Finish(&reply_, &status_, tag_.Begin(shared_from_this()));
  }

  void Cancel() override {  // only when the loop stops
    cancelled_ = true;
    context_.TryCancel();
  }

 private:
  void OnAnswer(bool /*ok*/) {
    loop_.Remove(*this);
    if (cancelled_) {
      return;
    }
    if (status_.ok()) {
      std::move(done_)(std::move(reply_));
    } else {
      std::move(done_)(FromGrpcStatus(status_));
    }
  }

  GrpcLoop& loop_;
  const std::unique_ptr<v1::Peer::Stub> stub_;
  Transport::InfoDone done_;
  bool cancelled_ = false;
  grpc::ClientContext context_;
  v1::InfoReply reply_;
  grpc::Status status_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<v1::InfoReply>> rpc_;
  GrpcTag<InfoCall> tag_{loop_, &InfoCall::OnAnswer};
};

template <class Out, class In>
std::unique_ptr<Stream<Out, In>> OpenStream(const std::shared_ptr<grpc::Channel>& channel,
                                            GrpcLoop& loop,
                                            typename ClientCall<Out, In>::Prepare prepare) {
  auto call = std::make_shared<ClientCall<Out, In>>(loop, channel);
  call->Begin(prepare);
  return std::make_unique<GrpcStream<Out, In>>(std::move(call));
}

}  // namespace

std::unique_ptr<ControlClient> OpenGrpcControl(std::shared_ptr<grpc::Channel> channel,
                                               GrpcLoop& loop) {
  return OpenStream<v1::ControlUp, v1::ControlDown>(channel, loop,
                                                    &v1::Peer::Stub::PrepareAsyncControl);
}

std::unique_ptr<DataStream> OpenGrpcData(std::shared_ptr<grpc::Channel> channel, GrpcLoop& loop) {
  return OpenStream<v1::Frame, v1::Frame>(channel, loop, &v1::Peer::Stub::PrepareAsyncData);
}

void AskGrpcInfo(std::shared_ptr<grpc::Channel> channel, absl::Duration timeout, GrpcLoop& loop,
                 Transport::InfoDone done) {
  std::make_shared<InfoCall>(loop, channel, std::move(done))->Begin(timeout);
}

}  // namespace fallow
