#include "client/conversation.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "client/random_bytes.h"
#include "model/sampler.h"

namespace fallow {
namespace {

constexpr absl::Duration kMeasureTimeout = absl::Milliseconds(200);

}  // namespace

struct Conversation::Progress {
  struct Sequence {
    std::vector<TokenId> ids;
    std::int64_t prompt = 0;
    std::int64_t limit = 0;
    std::int64_t acknowledged = 0;
    bool done = true;
  };
  const ConversationTurn& turn;
  std::vector<Sequence> sequences;
  Generation generation;
  absl::Time began = absl::Now();
  absl::Time first_token = absl::InfiniteFuture();
  absl::Time last_token;

  bool done() const {
    return std::all_of(sequences.begin(), sequences.end(),
                       [](const Sequence& sequence) { return sequence.done; });
  }

  void MeasureSpeed(std::int64_t prompt_rows) {
    std::size_t generated = 0;
    for (const auto& tokens : generation.tokens) generated += tokens.size();
    const double prefill = absl::ToDoubleSeconds(first_token - began);
    const double decode = absl::ToDoubleSeconds(last_token - first_token);
    if (prefill > 0) {
      generation.prefill_tokens_per_second = static_cast<double>(prompt_rows) / prefill;
    }
    if (decode > 0) {
      // The first tokens of all prompts belong to the prefill.
      const std::size_t first = generation.tokens.size();
      generation.decode_tokens_per_second =
          static_cast<double>(generated - std::min(generated, first)) / decode;
    }
  }
};

Conversation::Conversation(const ConversationContext& context, EndMode end_mode,
                           const PrivateEnds* ends)
    : context_(context), end_mode_(end_mode), ends_(ends) {}

Conversation::~Conversation() {
  absl::Notification gone;
  context_.loop.Post([this, &gone] {
    if (chain_ != nullptr) chain_->Close();
    chain_.reset();
    gone.Notify();
  });
  gone.WaitForNotification();
}

absl::StatusOr<Generation> Conversation::Run(
    const ConversationTurn& turn, absl::FunctionRef<bool(int sequence, TokenId token)> on_token) {
  Progress progress{.turn = turn, .sequences = {}, .generation = {}, .last_token = {}};
  progress.sequences.resize(turn.ids.size());
  progress.generation.tokens.resize(turn.ids.size());
  progress.generation.finish.resize(turn.ids.size(), FinishReason::kLength);

  Turn chain_turn{
      .sequences = {}, .sampling = turn.options.sampling, .stop_tokens = turn.stop_tokens};
  std::int64_t kv_tokens = 0;
  for (std::size_t i = 0; i < turn.ids.size(); ++i) {
    SequenceTurn& one = chain_turn.sequences.emplace_back();
    if (turn.ids[i].empty()) continue;
    const auto known = static_cast<std::int64_t>(turn.ids[i].size());
    one.ids = turn.ids[i];
    one.prompt = turn.prompts[i];
    one.limit = std::min(known + turn.options.max_new_tokens, context_.spec.max_positions);
    one.wanted = known - 1;
    if (i < turn.fork_of.size()) one.fork_of = turn.fork_of[i];
    kv_tokens = std::max(kv_tokens, one.limit);
    progress.sequences[i] = {.ids = turn.ids[i],
                             .prompt = one.prompt,
                             .limit = one.limit,
                             .acknowledged = known,
                             .done = one.limit <= known};
  }
  if (progress.done()) return std::move(progress.generation);
  Begin(std::move(chain_turn), kv_tokens);
  const absl::Status status = Pump(progress, on_token);
  Chain::Measured measured = EndTurn();
  FALLOW_RETURN_IF_ERROR(status);
  progress.generation.route = std::move(measured.route);
  progress.MeasureSpeed(measured.prompt_rows);
  return std::move(progress.generation);
}

absl::Status Conversation::Pump(Progress& progress,
                                absl::FunctionRef<bool(int, TokenId)> on_token) {
  while (!progress.done()) {
    Event event = Next();
    if (auto* status = std::get_if<absl::Status>(&event)) return *status;
    if (auto* recovery = std::get_if<Recovery>(&event)) {
      progress.generation.recoveries.push_back(*std::move(recovery));
    } else if (auto* token = std::get_if<TokenEvent>(&event)) {
      Take(progress, static_cast<int>(token->sequence), token->id, on_token);
    } else if (auto* rows = std::get_if<RowsEvent>(&event)) {
      if (progress.sequences[rows->sequence].done) continue;
      FALLOW_ASSIGN_OR_RETURN(const TokenId drawn, Draw(*rows, progress));
      const std::uint32_t sequence = rows->sequence;
      if (Take(progress, static_cast<int>(sequence), drawn, on_token)) {
        OnLoop([sequence, drawn](Chain& chain) { chain.Append(sequence, drawn); });
      }
    }
  }
  return absl::OkStatus();
}

// Books a token; false if its sequence ends with it.
bool Conversation::Take(Progress& progress, int number, TokenId token,
                        absl::FunctionRef<bool(int, TokenId)> on_token) {
  Progress::Sequence& sequence = progress.sequences[number];
  if (sequence.done) return false;
  progress.last_token = absl::Now();
  progress.first_token = std::min(progress.first_token, progress.last_token);
  sequence.ids.push_back(token);
  progress.generation.tokens[number].push_back(token);
  const std::vector<TokenId>& stops = progress.turn.stop_tokens;
  FinishReason& finish = progress.generation.finish[number];
  const auto known = static_cast<std::int64_t>(sequence.ids.size());
  if (!on_token(number, token)) {
    sequence.done = true;
    finish = FinishReason::kCallback;
  } else if (std::find(stops.begin(), stops.end(), token) != stops.end()) {
    sequence.done = true;
    finish = FinishReason::kStopToken;
  } else if (known >= sequence.limit) {
    sequence.done = true;
    finish = FinishReason::kLength;
  }
  const auto which = static_cast<std::uint32_t>(number);
  if (sequence.done) {
    OnLoop([which](Chain& chain) { chain.Finish(which); });
  } else if (end_mode_ == EndMode::kRing && known - sequence.acknowledged >= Chain::kAckEvery) {
    sequence.acknowledged = known;
    OnLoop([which, known](Chain& chain) { chain.Acknowledge(which, known); });
  }
  return !sequence.done;
}

absl::StatusOr<TokenId> Conversation::Draw(const RowsEvent& event, Progress& progress) {
  FALLOW_ASSIGN_OR_RETURN(std::vector<float> logits, ends_->Logits(event.rows, event.count));
  const Progress::Sequence& sequence = progress.sequences[event.sequence];
  const std::size_t vocab = context_.spec.vocab_size;
  return SampleToken(std::span(logits).last(vocab), progress.turn.options.sampling, sequence.ids,
                     sequence.prompt, event.sequence);
}

absl::Status Conversation::Forward(std::span<const TokenId> ids, OnRowsDone on_rows) {
  Turn turn;
  SequenceTurn& sequence = turn.sequences.emplace_back();
  sequence.ids.assign(ids.begin(), ids.end());
  sequence.prompt = static_cast<std::int64_t>(ids.size());
  sequence.wanted = 0;
  Begin(std::move(turn), static_cast<std::int64_t>(ids.size()));
  absl::Status status;
  for (std::int64_t next = 0; status.ok() && next < static_cast<std::int64_t>(ids.size());) {
    Event event = Next();
    if (auto* failure = std::get_if<absl::Status>(&event)) status = *std::move(failure);
    if (auto* rows = std::get_if<RowsEvent>(&event)) {
      status = on_rows(rows->position, rows->count, rows->rows);
      next = rows->position + rows->count;
    }
  }
  EndTurn();
  return status;
}

void Conversation::Begin(Turn turn, std::int64_t kv_tokens) {
  {
    absl::MutexLock lock(&mutex_);
    events_.clear();
  }
  context_.loop.Post([this, turn = std::move(turn), kv_tokens]() mutable {
    if (chain_ == nullptr) {
      const bool ring = end_mode_ == EndMode::kRing;
      PeerTable& peers = context_.peers;
      Chain::Options options{.end_mode = end_mode_,
                             .num_blocks = context_.spec.num_blocks,
                             .vocab_size = context_.spec.vocab_size,
                             .model = peers.model(),
                             .numeric_class = peers.numeric_class(),
                             .feed = {.ring = ring},
                             .plan =
                                 [&peers, ring](BlockRange blocks, std::int64_t tokens,
                                                const std::set<PeerId>& exclude) {
                                   return peers.Plan(blocks, ring, tokens, exclude);
                                 },
                             .on_blame = [&peers](const PeerId& peer) { peers.Blame(peer); },
                             .look_again =
                                 [&peers](std::function<void()> done) {
                                   peers.Refresh(
                                       absl::ZeroDuration(),
                                       [done = std::move(done)](absl::Status) { done(); });
                                 },
                             .payer = context_.payer,
                             .session = RandomBytes(16),
                             .secret = RandomBytes(32),
                             .beginning_key = context_.beginning_key};
      if (!ring) {
        options.feed.embed = [ends = ends_](std::span<const TokenId> ids) {
          return ends->Embed(ids);
        };
        options.feed.row_bytes = ends_->row_bytes();
      }
      ChainOwner& owner = *this;
      chain_ =
          std::make_unique<Chain>(std::move(options), context_.transport, context_.loop, owner);
    }
    chain_->Begin(std::move(turn), kv_tokens);
  });
}

void Conversation::OnLoop(std::function<void(Chain&)> task) {
  context_.loop.Post([this, task = std::move(task)] { task(*chain_); });
}

Chain::Measured Conversation::EndTurn() {
  Chain::Measured measured;
  absl::Notification ended;
  OnLoop([&](Chain& chain) {
    chain.EndTurn(kMeasureTimeout, [&](Chain::Measured result) {
      measured = std::move(result);
      ended.Notify();
    });
  });
  ended.WaitForNotification();
  return measured;
}

// ---- events, from the loop to the calling thread

void Conversation::OnToken(std::uint32_t sequence, std::int64_t, TokenId id) {
  Push(TokenEvent{sequence, id});
}

void Conversation::OnRows(std::uint32_t sequence, std::int64_t position, std::int64_t count,
                          std::string_view rows) {
  Push(RowsEvent{sequence, position, count, std::string(rows)});
}

void Conversation::OnRoute(std::vector<RouteHop> route) { context_.on_route(std::move(route)); }

void Conversation::OnRecovered(Recovery recovery) { Push(std::move(recovery)); }

void Conversation::OnFailed(absl::Status status) { Push(std::move(status)); }

void Conversation::Push(Event event) {
  absl::MutexLock lock(&mutex_);
  events_.push_back(std::move(event));
}

// The chain always ends in tokens or in OnFailed, whatever its peers do; so this returns.
Conversation::Event Conversation::Next() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](std::deque<Event>* events) { return !events->empty(); }, &events_));
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

}  // namespace fallow
