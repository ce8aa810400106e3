#include "tests/server/swarm_kit.h"

#include <stdexcept>
#include <utility>

namespace fallow {

PeerId NumberedPeer(int number) {
  PeerId peer;
  peer.bytes.fill(static_cast<std::uint8_t>(number));
  return peer;
}

LocalServer& Swarm::Add(BlockRange blocks, BlockServer::Options options) {
  const PeerId self = NumberedPeer(static_cast<int>(servers.size()) + 1);
  if (options.checkpoint.empty()) options.checkpoint = FALLOW_SOURCE_DIR "/tests/golden/llama";
  if (options.numeric_class == "auto") options.numeric_class = "fp32";
  if (options.kv_memory == 0) options.kv_memory = 16 << 20;
  options.blocks = blocks;
  options.listen = "loopback:0";
  options.threads = 1;
  auto server =
      LocalServer::Start(options, self, network.Attach(self), LocalServer::Driver::kCaller);
  if (!server.ok()) throw std::runtime_error(server.status().ToString());
  servers.push_back(*std::move(server));
  return *servers.back();
}

const v1::Opened* ControlEnd::opened() const {
  const v1::Opened* last = nullptr;
  for (const v1::ControlDown& message : messages) {
    if (message.has_opened()) last = &message.opened();
  }
  return last;
}

const v1::Error* ControlEnd::error() const {
  const v1::Error* last = nullptr;
  for (const v1::ControlDown& message : messages) {
    if (message.has_error()) last = &message.error();
  }
  return last;
}

std::vector<std::string> ControlEnd::receipts() const {
  std::vector<std::string> receipts;
  for (const v1::ControlDown& message : messages) {
    if (message.has_receipt()) receipts.push_back(message.receipt().receipt());
  }
  return receipts;
}

absl::StatusCode ControlEnd::error_code() const {
  return error() == nullptr ? absl::StatusCode::kOk
                            : static_cast<absl::StatusCode>(error()->code());
}

ScriptedClient::ScriptedClient(Swarm& swarm, std::vector<LocalServer*> route, Options options)
    : swarm_(swarm),
      route_(std::move(route)),
      options_(std::move(options)),
      transport_(swarm_.network.Attach(options_.self)),
      loop_(transport_->NewLoop("client")),
      controls_(route_.size()) {
  const ServedModel& model = route_.front()->served();
  open_.set_version(1);
  open_.set_session(std::string(16, options_.session));
  open_.set_model(model.manifest.data(), model.manifest.size());
  open_.set_numeric_class(model.numeric_class);
  open_.set_end_mode(options_.ring ? v1::END_MODE_RING : v1::END_MODE_PRIVATE);
  open_.set_secret(std::string(32, 'x'));
  open_.set_sequences(options_.sequences);
  open_.set_kv_tokens(options_.kv_tokens);
  for (const LocalServer* server : route_) {
    v1::Hop& hop = *open_.add_route();
    hop.set_peer(server->peer().bytes.data(), server->peer().bytes.size());
    hop.add_addresses(PeerAddress::Parse(server->address())->HostPort());
    hop.mutable_span()->set_begin(server->served().blocks.begin);
    hop.mutable_span()->set_end(server->served().blocks.end);
  }
}

void ScriptedClient::DialControl(std::size_t hop) {
  const PeerAddress address = PeerAddress::Parse(route_[hop]->address()).value();
  controls_[hop] = std::make_unique<ControlEnd>(transport_->OpenControl(address, *loop_));
}

std::unique_ptr<DataEnd> ScriptedClient::DialData(std::size_t hop, bool receive) {
  const PeerAddress address = PeerAddress::Parse(route_[hop]->address()).value();
  auto data = std::make_unique<DataEnd>(transport_->OpenData(address, *loop_));
  v1::Frame frame;
  frame.mutable_hello()->set_session(open_.session());
  frame.mutable_hello()->set_secret(open_.secret());
  frame.mutable_hello()->set_receive(receive);
  if (receive) frame.mutable_hello()->set_epoch(epoch());
  data->stream->Write(std::move(frame));
  return data;
}

void ScriptedClient::SendOpen(std::size_t hop) {
  if (controls_[hop] == nullptr) DialControl(hop);
  v1::ControlUp message;
  *message.mutable_open() = open_;
  message.mutable_open()->set_hop(static_cast<std::uint32_t>(hop));
  Send(hop, std::move(message));
}

void ScriptedClient::OpenAll(bool resume) {
  NextEpoch();
  open_.set_resume(resume);
  for (std::size_t hop = 0; hop < route_.size(); ++hop) SendOpen(hop);
  feed_ = DialData(0);
  if (!options_.ring) outputs_ = DialData(route_.size() - 1, /*receive=*/true);
}

v1::Sampling ScriptedClient::Greedy() {
  v1::Sampling sampling;
  sampling.set_temperature(1);
  sampling.set_top_p(1);
  sampling.set_typical_p(1);
  sampling.set_repetition_penalty(1);
  return sampling;
}

v1::Start ScriptedClient::StartOf(std::size_t hop, const std::vector<Turn>& turns) const {
  v1::Start start;
  start.set_epoch(epoch());
  const bool last = hop + 1 == route_.size();
  for (const Turn& turn : turns) {
    v1::SequenceStart& sequence = *start.add_sequences();
    sequence.set_sequence(turn.sequence);
    sequence.set_keep(turn.keep);
    sequence.set_send_from(last ? static_cast<std::uint32_t>(turn.ids.size()) - 1 : turn.keep);
    if (turn.fork_of >= 0) sequence.set_fork_of(static_cast<std::uint32_t>(turn.fork_of));
  }
  return start;
}

void ScriptedClient::Begin(const std::vector<Turn>& turns, std::uint32_t new_tokens,
                           const v1::Sampling& sampling, const std::vector<TokenId>& stops) {
  for (std::size_t hop = 0; hop < route_.size(); ++hop) {
    v1::Start start = StartOf(hop, turns);
    if (hop + 1 == route_.size()) {
      v1::Generation& generation = *start.mutable_generation();
      *generation.mutable_sampling() = sampling;
      generation.mutable_stop_tokens()->Add(stops.begin(), stops.end());
      for (const Turn& turn : turns) {
        const auto known = static_cast<std::uint32_t>(turn.ids.size());
        v1::SequenceGeneration& sequence = *generation.add_sequences();
        sequence.set_sequence(turn.sequence);
        sequence.set_known(known);
        sequence.set_limit(known + new_tokens);
        sequence.set_prompt(known);
        sequence.mutable_history()->Add(turn.ids.begin(), turn.ids.end());
      }
    }
    SendStart(hop, start);
  }
  for (const Turn& turn : turns) {
    if (turn.keep == turn.ids.size()) continue;
    SendIds(*feed_, turn.sequence, turn.keep, {turn.ids.begin() + turn.keep, turn.ids.end()});
  }
}

void ScriptedClient::Send(std::size_t hop, v1::ControlUp message) {
  controls_[hop]->stream->Write(std::move(message));
}

void ScriptedClient::SendStart(std::size_t hop, const v1::Start& start) {
  v1::ControlUp message;
  *message.mutable_start() = start;
  Send(hop, std::move(message));
}

void ScriptedClient::SendAck(std::size_t hop, const std::vector<std::uint32_t>& known,
                             const std::string& voucher) {
  v1::ControlUp message;
  message.mutable_ack()->set_epoch(epoch());
  message.mutable_ack()->mutable_known()->Add(known.begin(), known.end());
  message.mutable_ack()->set_voucher(voucher);
  Send(hop, std::move(message));
}

void ScriptedClient::SendIds(DataEnd& data, std::uint32_t sequence, std::uint32_t position,
                             const std::vector<TokenId>& ids) {
  v1::Step step;
  step.set_epoch(epoch());
  v1::Run& run = *step.add_runs();
  run.set_sequence(sequence);
  run.set_position(position);
  run.set_count(static_cast<std::uint32_t>(ids.size()));
  step.mutable_ids()->Add(ids.begin(), ids.end());
  SendStep(data, std::move(step));
}

void ScriptedClient::SendRows(DataEnd& data, std::uint32_t sequence, std::uint32_t position,
                              std::uint32_t count, const std::string& rows) {
  v1::Step step;
  step.set_epoch(epoch());
  v1::Run& run = *step.add_runs();
  run.set_sequence(sequence);
  run.set_position(position);
  run.set_count(count);
  step.set_rows(rows);
  SendStep(data, std::move(step));
}

void ScriptedClient::SendStep(DataEnd& data, v1::Step step) {
  if (step.step_no() == 0) step.set_step_no(++data.last_step);
  v1::Frame frame;
  *frame.mutable_step() = std::move(step);
  data.stream->Write(std::move(frame));
}

std::vector<TokenId> ScriptedClient::tokens(std::uint32_t sequence) const {
  std::vector<TokenId> tokens;
  for (const v1::ControlDown& message : controls_.back()->messages) {
    if (!message.has_tokens() || message.tokens().epoch() != epoch()) continue;
    for (const v1::Token& token : message.tokens().tokens()) {
      if (token.sequence() == sequence) tokens.push_back(token.id());
    }
  }
  return tokens;
}

}  // namespace fallow
