#include "client/feed.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"

namespace fallow {
namespace {

constexpr std::int64_t kStepBytes = 64 << 10;  // of hidden states in one frame
constexpr std::int64_t kStepIds = 4096;

}  // namespace

Feed::Feed(Options options, Transport& transport, Loop& loop, OnStep on_step, OnBroken on_broken)
    : options_(std::move(options)),
      transport_(transport),
      loop_(loop),
      on_step_(std::move(on_step)),
      on_broken_(std::move(on_broken)) {}

void Feed::Connect(const PeerAddress& first, const PeerAddress& last, const v1::Hello& hello) {
  step_no_ = 0;
  to_first_ = Dial(first, hello);
  from_last_.reset();
  if (options_.ring) return;
  v1::Hello receiver = hello;
  receiver.set_receive(true);
  from_last_ = Dial(last, std::move(receiver));
}

std::unique_ptr<DataStream> Feed::Dial(const PeerAddress& peer, v1::Hello hello) {
  std::unique_ptr<DataStream> stream = transport_.OpenData(peer, loop_);
  stream->Start(*this);
  v1::Frame frame;
  *frame.mutable_hello() = std::move(hello);
  stream->Write(std::move(frame));
  return stream;
}

absl::Status Feed::Send(std::uint32_t epoch, const FeedRun& run) {
  const std::int64_t rows_per_step = RowsPerStep();
  const auto total = static_cast<std::int64_t>(run.ids.size());
  for (std::int64_t begin = 0; begin < total; begin += rows_per_step) {
    const auto ids = run.ids.subspan(begin, std::min(rows_per_step, total - begin));
    v1::Frame frame;
    v1::Step& step = *frame.mutable_step();
    step.set_step_no(++step_no_);
    step.set_epoch(epoch);
    v1::Run& rows = *step.add_runs();
    rows.set_sequence(run.sequence);
    rows.set_position(static_cast<std::uint32_t>(run.position + begin));
    rows.set_count(static_cast<std::uint32_t>(ids.size()));
    if (options_.ring) {
      step.mutable_ids()->Add(ids.begin(), ids.end());
    } else {
      FALLOW_ASSIGN_OR_RETURN(*step.mutable_rows(), options_.embed(ids));
    }
    to_first_->Write(std::move(frame));
  }
  return absl::OkStatus();
}

void Feed::OnMessage(v1::Frame frame) {
  if (frame.has_step()) on_step_(frame.step());
}

void Feed::OnClosed(absl::Status status) { on_broken_(std::move(status)); }

std::int64_t Feed::RowsPerStep() const {
  if (options_.ring) return kStepIds;
  return std::max<std::int64_t>(1, kStepBytes / options_.row_bytes);
}

}  // namespace fallow
