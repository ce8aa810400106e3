#include "client/chain.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "client/beginnings.h"

namespace fallow {
namespace {

constexpr absl::Duration kOpenTimeout = absl::Seconds(1);

std::int64_t CommonPrefix(const std::vector<TokenId>& a, const std::vector<TokenId>& b) {
  const auto size = std::min(a.size(), b.size());
  return std::mismatch(a.begin(), a.begin() + size, b.begin()).first - a.begin();
}

bool NeedsHistory(const SamplingOptions& sampling) {
  return sampling.repetition_penalty != 1 || sampling.frequency_penalty != 0 ||
         sampling.presence_penalty != 0 || !sampling.bad_words.empty();
}

v1::Sampling ToProto(const SamplingOptions& options) {
  v1::Sampling sampling;
  sampling.set_do_sample(options.do_sample);
  sampling.set_temperature(options.temperature);
  sampling.set_top_k(options.top_k);
  sampling.set_top_p(options.top_p);
  sampling.set_min_p(options.min_p);
  sampling.set_typical_p(options.typical_p);
  sampling.set_repetition_penalty(options.repetition_penalty);
  sampling.set_frequency_penalty(options.frequency_penalty);
  sampling.set_presence_penalty(options.presence_penalty);
  for (const std::vector<TokenId>& word : options.bad_words) {
    sampling.add_bad_words()->mutable_tokens()->Add(word.begin(), word.end());
  }
  sampling.set_seed(options.seed);
  return sampling;
}

}  // namespace

Chain::Chain(Options options, Transport& transport, Loop& loop, ChainOwner& owner)
    : options_(std::move(options)),
      transport_(transport),
      loop_(loop),
      owner_(owner),
      feed_(
          options_.feed, transport, loop, [this](const v1::Step& step) { OnStep(step); },
          [this](absl::Status status) { OnFeedBroken(std::move(status)); }) {}

Chain::~Chain() { CancelTimer(); }

// ---- turns

void Chain::Begin(Turn turn, std::int64_t kv_tokens) {
  const bool grows = turn.sequences.size() > sequences_.size() || kv_tokens > kv_tokens_;
  kv_tokens_ = std::max(kv_tokens_, kv_tokens);
  excluded_.clear();
  redialled_.clear();
  restarted_.clear();
  believed_.clear();
  accusation_.reset();
  relaunches_ = 0;
  answered_ = false;
  recovery_.reset();
  last_progress_ = loop_.Now();
  TakeSequences(std::move(turn));
  if (hops_.empty()) {
    if (absl::Status status = PlanAll(); !status.ok()) return Fail(std::move(status));
  }
  const bool whole =
      std::none_of(hops_.begin(), hops_.end(), [](const auto& hop) { return hop->broken(); });
  const bool held = state_ == State::kIdle || state_ == State::kRunning || state_ == State::kAsking;
  if (grows || !whole || !held) return OpenAll();
  ++epoch_;
  Launch(/*from_states=*/false);
}

void Chain::TakeSequences(Turn turn) {
  sequences_.resize(std::max(sequences_.size(), turn.sequences.size()));
  for (std::size_t i = 0; i < turn.sequences.size(); ++i) {
    Sequence& sequence = sequences_[i];
    SequenceTurn& next = turn.sequences[i];
    if (next.ids.empty()) continue;  // not part of this turn
    const std::vector<TokenId>& held =
        next.fork_of >= 0 ? sequences_[next.fork_of].turn.ids : sequence.turn.ids;
    if (next.fork_of >= 0) sequence.valid = sequences_[next.fork_of].valid;
    const std::int64_t cut = CommonPrefix(held, next.ids);
    sequence.valid = std::min(sequence.valid, cut);
    sequence.cuts.emplace_back(epoch_ + 1, cut);
    sequence.turn = std::move(next);
    sequence.acknowledged = static_cast<std::int64_t>(sequence.turn.ids.size());
    sequence.finished = false;
  }
  turn.sequences.clear();
  turn_ = std::move(turn);
}

absl::Status Chain::PlanAll() {
  auto route = options_.plan({0, options_.num_blocks}, kv_tokens_, excluded_);
  if (!route.ok()) return route.status();
  for (const RouteStop& stop : *route) {
    hops_.push_back(Dial(stop));
  }
  return absl::OkStatus();
}

std::unique_ptr<HopLink> Chain::Dial(const RouteStop& stop) {
  HopListener& listener = *this;
  return std::make_unique<HopLink>(stop, transport_, loop_, listener);
}

void Chain::OpenAll() {
  ++epoch_;
  state_ = State::kOpening;
  in_doubt_ = false;
  v1::Open open;
  open.set_version(1);
  open.set_session(options_.session);
  open.set_epoch(epoch_);
  open.set_model(options_.model);
  open.set_numeric_class(options_.numeric_class);
  open.set_end_mode(options_.end_mode == EndMode::kRing ? v1::END_MODE_RING : v1::END_MODE_PRIVATE);
  open.set_secret(options_.secret);
  open.set_sequences(static_cast<std::uint32_t>(sequences_.size()));
  open.set_kv_tokens(static_cast<std::uint32_t>(kv_tokens_));
  for (const Sequence& sequence : sequences_) {
    open.add_beginnings(HashBeginnings(options_.beginning_key, sequence.turn.ids));
  }
  for (const auto& hop : hops_) {
    v1::Hop& stop = *open.add_route();
    stop.set_peer(hop->peer().bytes.data(), hop->peer().bytes.size());
    stop.add_addresses(hop->stop().address.HostPort());
    stop.mutable_span()->set_begin(hop->stop().blocks.begin);
    stop.mutable_span()->set_end(hop->stop().blocks.end);
  }
  for (std::size_t i = 0; i < hops_.size(); ++i) {
    open.set_hop(static_cast<std::uint32_t>(i));
    if (hops_[i]->broken()) hops_[i]->Redial();
    hops_[i]->Open(open);
  }
  v1::Hello hello;
  hello.set_session(options_.session);
  hello.set_secret(options_.secret);
  hello.set_epoch(epoch_);
  feed_.Connect(hops_.front()->stop().address, hops_.back()->stop().address, hello);
  SetTimer(kOpenTimeout, &Chain::OnOpenDue);
}

void Chain::OnOpened(HopLink& hop) {
  if (state_ != State::kOpening || !hop.opened(epoch_)) return;
  for (const auto& each : hops_) {
    if (!each->opened(epoch_)) return;
  }
  // A hop that cannot reach another takes no step in this epoch. Soon it may: they were dialled at
  // the same time.
  if (in_doubt_) return SetTimer(Patience::BeforeBeat(), &Chain::BeginAnew);
  Launch(/*from_states=*/true);
}

std::vector<HopState> Chain::StatesOf(const Sequence& sequence, std::size_t number,
                                      bool from_states) {
  const bool forks = sequence.turn.fork_of >= 0;
  std::vector<HopState> states;
  for (const auto& hop : hops_) {
    HopState state{sequence.valid, sequence.valid};
    if (from_states) {
      state = hop->state(forks ? sequence.turn.fork_of : number);
      for (const auto& [epoch, cut] : sequence.cuts) {
        if (epoch > hop->started_epoch() || forks) state.held = std::min(state.held, cut);
      }
      if (!forks) state.held = std::max(state.held, state.shared);
      if (forks) state.outbox_begin = state.held;
      state.outbox_begin = std::min(state.outbox_begin, state.held);
    }
    states.push_back(state);
  }
  return states;
}

void Chain::Launch(bool from_states) {
  std::vector<v1::Start> starts(hops_.size());
  std::vector<FeedRun> runs;
  rows_on_the_way_ = 0;
  for (std::size_t number = 0; number < sequences_.size(); ++number) {
    Sequence& sequence = sequences_[number];
    const std::vector<HopState> states = StatesOf(sequence, number, from_states);
    if (sequence.finished) {
      for (const HopState& state : states) sequence.valid = std::min(sequence.valid, state.held);
      continue;
    }
    const auto known = static_cast<std::int64_t>(sequence.turn.ids.size());
    const bool ring = options_.end_mode == EndMode::kRing;
    const Replay replay = PlanReplay(states, known, ring ? known - 1 : sequence.turn.wanted);
    std::int64_t held = known;
    for (std::size_t i = 0; i < hops_.size(); ++i) {
      v1::SequenceStart& start = *starts[i].add_sequences();
      start.set_sequence(static_cast<std::uint32_t>(number));
      start.set_keep(static_cast<std::uint32_t>(replay.hops[i].keep));
      start.set_send_from(static_cast<std::uint32_t>(replay.hops[i].send_from));
      if (sequence.turn.fork_of >= 0) {
        start.set_fork_of(static_cast<std::uint32_t>(sequence.turn.fork_of));
      }
    }
    for (const HopStart& start : replay.hops) held = std::min(held, start.keep);
    sequence.valid = std::max(sequence.valid, held);
    runs.push_back({static_cast<std::uint32_t>(number), replay.feed_from,
                    std::span(sequence.turn.ids).subspan(replay.feed_from)});
    rows_on_the_way_ += known - std::min(replay.feed_from, replay.hops.back().keep);
  }
  if (options_.end_mode == EndMode::kRing) *starts.back().mutable_generation() = MakeGeneration();
  for (std::size_t i = 0; i < hops_.size(); ++i) {
    starts[i].set_epoch(epoch_);
    v1::ControlUp message;
    *message.mutable_start() = std::move(starts[i]);
    hops_[i]->Send(std::move(message));
  }
  for (const FeedRun& run : runs) {
    if (absl::Status status = feed_.Send(epoch_, run); !status.ok()) return Fail(std::move(status));
  }
  if (!answered_) prompt_rows_ = rows_on_the_way_;
  state_ = State::kRunning;
  last_progress_ = recovery_.has_value() ? last_progress_ : loop_.Now();
  expecting_since_ = loop_.Now();
  last_reports_.clear();
  CancelTimer();  // of the opening
  owner_.OnRoute(MeasuredRoute());
  Watch();
}

v1::Generation Chain::MakeGeneration() const {
  v1::Generation generation;
  *generation.mutable_sampling() = ToProto(turn_.sampling);
  generation.mutable_stop_tokens()->Add(turn_.stop_tokens.begin(), turn_.stop_tokens.end());
  for (std::size_t number = 0; number < sequences_.size(); ++number) {
    const Sequence& sequence = sequences_[number];
    if (sequence.finished) continue;
    v1::SequenceGeneration& one = *generation.add_sequences();
    one.set_sequence(static_cast<std::uint32_t>(number));
    one.set_known(static_cast<std::uint32_t>(sequence.turn.ids.size()));
    one.set_limit(static_cast<std::uint32_t>(sequence.turn.limit));
    one.set_prompt(static_cast<std::uint32_t>(sequence.turn.prompt));
    if (NeedsHistory(turn_.sampling)) {
      one.mutable_history()->Add(sequence.turn.ids.begin(), sequence.turn.ids.end());
    }
  }
  return generation;
}

// ---- outputs

void Chain::OnTokens(HopLink& hop, const v1::Tokens& tokens) {
  if (&hop != hops_.back().get() || tokens.epoch() != epoch_) return;
  if (state_ != State::kRunning && state_ != State::kAsking) return;
  for (const v1::Token& token : tokens.tokens()) {
    if (token.sequence() >= sequences_.size()) continue;
    Sequence& sequence = sequences_[token.sequence()];
    if (sequence.finished) continue;  // run-ahead that nobody wants
    std::vector<TokenId>& ids = sequence.turn.ids;
    if (token.position() != ids.size() || token.id() < 0 || token.id() >= options_.vocab_size) {
      return Replace(hop,
                     absl::StrCat("sent token ", token.id(), " at position ", token.position(),
                                  ", expected position ", ids.size()),
                     /*at_fault=*/true);
    }
    const std::int64_t done = token.position() - sequence.valid;
    sequence.valid = token.position();
    ids.push_back(token.id());
    ++tokens_;
    const bool stop = std::find(turn_.stop_tokens.begin(), turn_.stop_tokens.end(), token.id()) !=
                      turn_.stop_tokens.end();
    sequence.finished = stop || static_cast<std::int64_t>(ids.size()) >= sequence.turn.limit;
    Progress(done);
    owner_.OnToken(token.sequence(), token.position(), token.id());
  }
  PayVouchers();
  AskTimes();
}

void Chain::OnStep(const v1::Step& step) {
  if (step.epoch() != epoch_) return;
  if (state_ != State::kRunning && state_ != State::kAsking) return;
  std::string_view rows = step.rows();
  std::uint64_t count = 0;
  for (const v1::Run& run : step.runs()) count += run.count();
  if (count == 0 || count * options_.feed.row_bytes != rows.size()) {
    return Replace(*hops_.back(),
                   absl::StrCat("returned ", rows.size(), " bytes for ", count, " rows"),
                   /*at_fault=*/true);
  }
  for (const v1::Run& run : step.runs()) {
    const std::size_t bytes = options_.feed.row_bytes * run.count();
    const SequenceTurn* turn =
        run.sequence() < sequences_.size() ? &sequences_[run.sequence()].turn : nullptr;
    if (turn == nullptr || run.count() == 0 || run.position() != turn->wanted ||
        std::int64_t{run.position()} + run.count() > std::ssize(turn->ids)) {
      return Replace(*hops_.back(), "returned rows that were not asked for", /*at_fault=*/true);
    }
    Sequence& sequence = sequences_[run.sequence()];
    sequence.turn.wanted = std::int64_t{run.position()} + run.count();
    const std::int64_t done = sequence.turn.wanted - sequence.valid;
    sequence.valid = sequence.turn.wanted;
    Progress(done);
    if (!sequence.finished) {
      owner_.OnRows(run.sequence(), run.position(), run.count(), rows.substr(0, bytes));
    }
    rows.remove_prefix(bytes);
  }
  PayVouchers();
  AskTimes();
}

void Chain::Append(std::uint32_t number, TokenId id) {
  if (!Expecting()) expecting_since_ = loop_.Now();
  Sequence& sequence = sequences_[number];
  sequence.turn.ids.push_back(id);
  ++tokens_;
  if (state_ != State::kRunning && state_ != State::kAsking) return;  // Launch will send it
  const auto last = static_cast<std::int64_t>(sequence.turn.ids.size()) - 1;
  const FeedRun run{number, last, std::span(sequence.turn.ids).subspan(last)};
  if (absl::Status status = feed_.Send(epoch_, run); !status.ok()) return Fail(std::move(status));
  Watch();
}

void Chain::Acknowledge(std::uint32_t number, std::int64_t known) {
  if (!Expecting()) expecting_since_ = loop_.Now();
  sequences_[number].acknowledged = known;
  if (state_ != State::kRunning && state_ != State::kAsking) return;
  v1::ControlUp message;
  v1::Ack& ack = *message.mutable_ack();
  ack.set_epoch(epoch_);
  for (const Sequence& sequence : sequences_) {
    ack.add_known(static_cast<std::uint32_t>(sequence.acknowledged));
  }
  hops_.back()->Send(std::move(message));
  Watch();
}

void Chain::Finish(std::uint32_t number) { sequences_[number].finished = true; }

void Chain::Close() {
  CancelTimer();
  state_ = State::kIdle;
  for (const auto& hop : hops_) hop->Close();
}

std::vector<PeerId> Chain::Route() const {
  std::vector<PeerId> peers;
  for (const auto& hop : hops_) peers.push_back(hop->peer());
  return peers;
}

void Chain::Progress(std::int64_t done) {
  const absl::Time now = loop_.Now();
  answered_ = true;
  patience_.Observe(done, Silence());
  // Of a prompt beside those that already have their first token, all rows are still awaited.
  rows_on_the_way_ = 0;
  for (const Sequence& sequence : sequences_) {
    if (sequence.finished) continue;
    rows_on_the_way_ += std::max<std::int64_t>(1, std::ssize(sequence.turn.ids) - sequence.valid);
  }
  if (recovery_.has_value()) {
    recovery_->pause = now - last_progress_;
    owner_.OnRecovered(*std::exchange(recovery_, std::nullopt));
  }
  last_progress_ = expecting_since_ = now;
  if (state_ == State::kAsking) state_ = State::kRunning;
  redialled_.clear();
  restarted_.clear();
  accusation_.reset();
  relaunches_ = 0;
  in_doubt_ = false;
  // Every hop has handled this epoch's Start, or there would be no output.
  for (Sequence& sequence : sequences_) {
    sequence.cuts.clear();
    sequence.turn.fork_of = -1;
  }
}

}  // namespace fallow
