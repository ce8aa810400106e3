// What carries a session's outputs away: to the next hop, or to the owner with private ends.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "fallow/peer.h"
#include "server/hop_session.h"
#include "server/limits.h"
#include "wire/transport.h"

namespace fallow {

class RelayListener {
 public:
  virtual ~RelayListener() = default;
  virtual void OnRelayReady() = 0;  // it takes more
  virtual void OnRelayFailed(absl::Status status, const PeerId& next) = 0;
};

// Lives on the data loop. What it cannot send yet stays in the session's outboxes.
class Relay : private DataStream::Handler {
 public:
  // All must outlive the relay.
  Relay(Transport& transport, Loop& data, const HopLimits& limits, HopSession& session,
        RelayListener& listener);
  ~Relay() override;

  // Opens a stream to the route's next hop, or keeps the one there is. Its addresses are tried in
  // turn, and once more if the stream breaks before an epoch has used it.
  void Connect();

  // A new epoch has begun on the same route.
  void Restart() { early_ids_.clear(); }

  // Sends to the owner, on a stream that it opened; null: it is gone.
  void UseStream(DataStream* stream);
  const DataStream* stream() const { return out_; }

  // Writes outputs as long as the stream takes them. Returns how many were no repetition.
  std::int64_t SendRows();

  // Outputs that wait until the next hop takes them.
  std::int64_t HeldUp() const;

  // Tokens that the last hop of a ring has sampled, for the first.
  struct IdRow {
    std::uint32_t sequence = 0;
    std::uint32_t position = 0;
    TokenId id = 0;
  };
  void SendIds(const std::vector<IdRow>& rows);

 private:
  void OnMessage(v1::Frame frame) override;
  void OnClosed(absl::Status status) override;
  void OnDrained() override;
  bool IsConnectedTo(const RoutedHop& next) const;
  void Dial();
  void Disconnect();
  bool TakesMore() const;
  v1::Step NewStep();
  void Write(v1::Step step);
  std::int64_t AddRows(int sequence, std::int64_t room, v1::Step& step);

  Transport& transport_;
  Loop& data_;
  const HopLimits& limits_;
  HopSession& session_;
  RelayListener& listener_;

  RoutedHop next_;
  SessionSecret secret_{};
  std::size_t address_ = 0;  // of next_, the one that is tried
  bool connected_ = false;   // Hello has been handed over
  std::unique_ptr<DataStream> dialled_;
  std::vector<IdRow> early_ids_;  // sampled before the stream was connected
  DataStream* out_ = nullptr;     // dialled_, or the owner's
  std::uint64_t last_step_ = 0;
  std::uint32_t used_epoch_ = 0;       // that last sent a step
  std::uint32_t redialled_epoch_ = 0;  // that last dialled a stream anew
};

}  // namespace fallow
