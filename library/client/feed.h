// The client's data streams: what it sends to the first hop, and with private ends what the last
// hop sends back.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fallow/model_spec.h"
#include "wire/transport.h"

namespace fallow {

// Consecutive positions of one sequence.
struct FeedRun {
  std::uint32_t sequence = 0;
  std::int64_t position = 0;
  std::span<const TokenId> ids;
};

// Hidden states of tokens in the session's wire format, for private ends.
using EmbedRows = std::function<absl::StatusOr<std::string>(std::span<const TokenId>)>;

class Feed : private DataStream::Handler {
 public:
  struct Options {
    bool ring = true;
    EmbedRows embed = {};        // private ends
    std::int64_t row_bytes = 0;  // private ends: of a hidden state on the wire
  };
  using OnStep = std::function<void(const v1::Step& step)>;
  using OnBroken = std::function<void(absl::Status status)>;

  // `transport`, `loop` must outlive it. `on_step` gets what the last hop returns.
  Feed(Options options, Transport& transport, Loop& loop, OnStep on_step, OnBroken on_broken);

  // Opens the streams anew: to the first hop, and with private ends to the last for its outputs.
  void Connect(const PeerAddress& first, const PeerAddress& last, const v1::Hello& hello);

  // Sends tokens on their way, in steps of bounded size.
  absl::Status Send(std::uint32_t epoch, const FeedRun& run);

 private:
  void OnMessage(v1::Frame frame) override;
  void OnClosed(absl::Status status) override;
  std::unique_ptr<DataStream> Dial(const PeerAddress& peer, v1::Hello hello);
  std::int64_t RowsPerStep() const;

  const Options options_;
  Transport& transport_;
  Loop& loop_;
  const OnStep on_step_;
  const OnBroken on_broken_;
  std::unique_ptr<DataStream> to_first_;
  std::unique_ptr<DataStream> from_last_;
  std::uint64_t step_no_ = 0;
};

}  // namespace fallow
