// Servers of the tiny llama checkpoint under a manual clock, and a client that does what a test
// tells it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/manual_loop.h"
#include "fallow/block_server.h"
#include "server/local_server.h"
#include "wire/loopback_transport.h"

namespace fallow {

PeerId NumberedPeer(int number);

class Swarm {
 public:
  Swarm() : network({.time = &time}) {}

  // `options` of the llama checkpoint in class fp32, unless they say otherwise.
  LocalServer& Add(BlockRange blocks, BlockServer::Options options = {});
  void Settle() { time.RunFor(absl::Milliseconds(1)); }

  ManualTime time;
  LoopbackNetwork network;
  std::vector<std::unique_ptr<LocalServer>> servers;
};

// The client's end of a stream, with all that came.
template <class S, class In>
struct Recorded : public S::Handler {
  explicit Recorded(std::unique_ptr<S> opened) : stream(std::move(opened)) { stream->Start(*this); }
  void OnMessage(In message) override { messages.push_back(std::move(message)); }
  void OnClosed(absl::Status status) override { closed = std::move(status); }

  bool closed_with(absl::StatusCode code) const { return closed && closed->code() == code; }

  std::unique_ptr<S> stream;
  std::vector<In> messages;
  std::optional<absl::Status> closed;
};

struct ControlEnd : Recorded<ControlClient, v1::ControlDown> {
  using Recorded::Recorded;
  const v1::Opened* opened() const;  // the last one; null if there was none
  const v1::Error* error() const;    // likewise
  std::vector<std::string> receipts() const;
  absl::StatusCode error_code() const;  // kOk if there was none
};

struct DataEnd : Recorded<DataStream, v1::Frame> {
  using Recorded::Recorded;
  std::uint64_t last_step = 0;
};

class ScriptedClient {
 public:
  struct Options {
    PeerId self = NumberedPeer(100);
    bool ring = true;
    std::uint32_t sequences = 1;
    std::uint32_t kv_tokens = 64;
    char session = 's';  // its id is 16 of them
  };
  ScriptedClient(Swarm& swarm, std::vector<LocalServer*> route, Options options);

  // What the next Open to a hop says; tests change it.
  v1::Open& open() { return open_; }

  ControlEnd& control(std::size_t hop) { return *controls_[hop]; }
  void DialControl(std::size_t hop);
  std::unique_ptr<DataEnd> DialData(std::size_t hop, bool receive = false);
  DataEnd& feed() { return *feed_; }
  DataEnd& outputs() { return *outputs_; }

  // A new epoch: Open to every hop (dialling where there is no stream), Hello to the first and,
  // with private ends, the last.
  void OpenAll(bool resume = false);
  void SendOpen(std::size_t hop);
  std::uint32_t epoch() const { return open_.epoch(); }
  void NextEpoch() { open_.set_epoch(open_.epoch() + 1); }

  // One sequence that goes on: its tokens, of which each hop holds `keep`.
  struct Turn {
    std::vector<TokenId> ids;
    std::uint32_t keep = 0;
    std::uint32_t sequence = 0;
    int fork_of = -1;
  };
  // Start to all hops and the missing ids to the first. Ring only.
  void Begin(const std::vector<Turn>& turns, std::uint32_t new_tokens,
             const v1::Sampling& sampling = Greedy(), const std::vector<TokenId>& stops = {});
  v1::Start StartOf(std::size_t hop, const std::vector<Turn>& turns) const;
  static v1::Sampling Greedy();

  void Send(std::size_t hop, v1::ControlUp message);
  void SendStart(std::size_t hop, const v1::Start& start);
  void SendAck(std::size_t hop, const std::vector<std::uint32_t>& known,
               const std::string& voucher = "");
  void SendIds(DataEnd& data, std::uint32_t sequence, std::uint32_t position,
               const std::vector<TokenId>& ids);
  void SendRows(DataEnd& data, std::uint32_t sequence, std::uint32_t position, std::uint32_t count,
                const std::string& rows);
  void SendStep(DataEnd& data, v1::Step step);

  // Tokens of a sequence that came in the present epoch.
  std::vector<TokenId> tokens(std::uint32_t sequence = 0) const;

 private:
  Swarm& swarm_;
  const std::vector<LocalServer*> route_;
  const Options options_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<Loop> loop_;
  v1::Open open_;
  std::vector<std::unique_ptr<ControlEnd>> controls_;
  std::unique_ptr<DataEnd> feed_;
  std::unique_ptr<DataEnd> outputs_;
};

}  // namespace fallow
