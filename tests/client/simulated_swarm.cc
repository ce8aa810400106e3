#include "tests/client/simulated_swarm.h"

#include <algorithm>
#include <functional>
#include <random>

#include "client/random_bytes.h"
#include "tests/model/golden_files.h"
#include "tests/model/loaded_model.h"

namespace fallow {
namespace {

constexpr std::int64_t kMaxRows = 256;
constexpr std::int64_t kCacheTokens = 4096;

// The golden llama in the exact class: read once, served by every peer.
struct GoldenModel {
  std::unique_ptr<Checkpoint> checkpoint;
  std::optional<Family> family;
  ModelSpec spec;
  NumericClass numeric_class;
  Digest manifest{};
  std::vector<Digest> blocks;
  Digest ends{};
  WorkerPool pool{1};
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Head> head;

  GoldenModel() {
    checkpoint = Checkpoint::Open(GoldenNamed("llama").path).value();
    family = Family::For(*checkpoint).value();
    spec = family->ReadSpec(*checkpoint).value();
    numeric_class = NumericClass::Choose("exact", "q8", *checkpoint).value();
    manifest = ManifestDigest(*checkpoint, *family, spec).value();
    for (int block = 0; block < spec.num_blocks; ++block) {
      blocks.push_back(BlockDigest(*checkpoint, *family, spec, block).value());
    }
    ends = EndsDigest(*checkpoint, *family, spec).value();
    backend = MakeHostBackend(*ChooseCpuKernels(nullptr), pool);
    head = Head::Load(*checkpoint, *family, spec, numeric_class, {}, kMaxRows, *backend).value();
  }
};

GoldenModel& TheModel() {
  static GoldenModel model;
  return model;
}

PeerId NumberedPeer(int number) {
  PeerId peer;
  peer.bytes[0] = static_cast<std::uint8_t>(number + 1);
  return peer;
}

std::function<absl::Duration(const PeerId&, const PeerId&, std::size_t)> DelayOf(
    const SimulatedSwarm::Options& options) {
  return [longest = options.delay, seeded = options.seed != 0,
          random = std::mt19937_64(options.seed)](auto&&...) mutable {
    return seeded ? longest * std::uniform_real_distribution<double>(0, 1)(random) : longest;
  };
}

}  // namespace

class SimulatedPeer {
 public:
  SimulatedPeer(int number, BlockRange blocks, const SimulatedSwarm::Options& options,
                LoopbackNetwork& network)
      : address_{"server", number + 1, NumberedPeer(number)}, blocks_(blocks) {
    GoldenModel& golden = TheModel();
    span_ = BlockSpan::Load(*golden.checkpoint, *golden.family, golden.spec, blocks,
                            golden.numeric_class, kMaxRows, *golden.backend)
                .value();
    const KvLayout layout = span_->kv_layout();
    cache_ = KvCache::Create(layout, layout.page_bytes() * kCacheTokens / kPagePositions,
                             *golden.backend)
                 .value();
    const bool embeds = blocks.begin == 0;
    const bool samples = blocks.end == golden.spec.num_blocks;
    ServedModel model{
        .spec = golden.spec,
        .numeric_class = golden.numeric_class.ToString(),
        .manifest = golden.manifest,
        .blocks = blocks,
        .block_digests = {golden.blocks.begin() + blocks.begin, golden.blocks.begin() + blocks.end},
        .ends_digest = std::nullopt,
        .embeds = embeds,
        .samples = samples,
        .backends = {golden.backend.get()},
        .span = span_.get(),
        .head = embeds || samples ? golden.head.get() : nullptr,
        .cache = cache_.get()};
    if (embeds || samples) model.ends_digest = golden.ends;
    transport_ = network.Attach(address_.peer);
    control_ = transport_->NewLoop("control");
    data_ = transport_->NewLoop("data");
    hop_ = std::make_unique<Hop>(Hop::Options{.model = std::move(model),
                                              .self = address_.peer,
                                              .limits = options.limits,
                                              .gate = options.gate},
                                 *transport_, *control_, *data_);
    listener_ = transport_->Listen(address_.HostPort(), *hop_, *control_, *data_).value();
  }

  ~SimulatedPeer() {
    Halt();
    control_.reset();
    data_.reset();
  }

  void Stop(absl::Duration deadline, Loop& loop) {
    data_->Post([this, deadline, &loop] {
      hop_->Drain(deadline, [this, &loop] { loop.Post([this] { Halt(); }); });
    });
    loop.After(deadline, [this] { Halt(); });
  }

  void Halt() {
    if (listener_ == nullptr) return;
    listener_.reset();
    hop_->StopListening();
    hop_->CloseAll();
    hop_->BreakControls();
  }

  const PeerAddress& address() const { return address_; }
  BlockRange blocks() const { return blocks_; }
  Hop& hop() { return *hop_; }

 private:
  const PeerAddress address_;
  const BlockRange blocks_;
  std::unique_ptr<BlockSpan> span_;
  std::unique_ptr<KvCache> cache_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<Loop> control_;
  std::unique_ptr<Loop> data_;
  std::unique_ptr<Hop> hop_;
  std::unique_ptr<Listener> listener_;
};

class SimulatedSwarm::Client : public ChainOwner {
 public:
  explicit Client(SimulatedSwarm& swarm)
      : transport_(swarm.network_.Attach(swarm.client_)),
        loop_(transport_->NewLoop("client")),
        view_(swarm.View()) {
    const GoldenModel& golden = TheModel();
    Chain::Options options{
        .end_mode = swarm.options_.end_mode,
        .num_blocks = golden.spec.num_blocks,
        .vocab_size = golden.spec.vocab_size,
        .model = {golden.manifest.begin(), golden.manifest.end()},
        .numeric_class = golden.numeric_class.ToString(),
        .feed = {.ring = swarm.options_.end_mode == EndMode::kRing,
                 .embed = [](auto ids) { return Embed(ids); },
                 .row_bytes = row_bytes()},
        .plan =
            [this](BlockRange blocks, std::int64_t kv_tokens, const std::set<PeerId>& exclude) {
              return PlanRoute(view_, {.blocks = blocks,
                                       .ring = true,
                                       .kv_tokens = kv_tokens,
                                       .avoid = {},
                                       .exclude = exclude});
            },
        .on_blame = [](const PeerId&) {},
        .look_again =
            [this, &swarm](std::function<void()> done) {
              loop_->After(2 * swarm.options_.delay, [this, &swarm, done = std::move(done)] {
                view_ = swarm.View();
                done();
              });
            },
        .payer = swarm.options_.payer,
        .session = RandomBytes(16),
        .secret = RandomBytes(32)};
    chain_.emplace(std::move(options), *transport_, *loop_, static_cast<ChainOwner&>(*this));
  }

  void Begin(Turn turn, std::int64_t kv_tokens) {
    outcome_ = {};
    outcome_.tokens.resize(turn.sequences.size());
    limits_.clear();
    for (const SequenceTurn& sequence : turn.sequences) limits_.push_back(sequence.limit);
    known_.resize(std::max(known_.size(), turn.sequences.size()));
    for (std::size_t i = 0; i < turn.sequences.size(); ++i) {
      if (!turn.sequences[i].ids.empty()) known_[i] = std::ssize(turn.sequences[i].ids);
    }
    chain_->Begin(std::move(turn), kv_tokens);
  }

  void Leave() {
    chain_->Close();
    chain_.reset();
  }

  Chain& chain() { return *chain_; }
  const Outcome& outcome() const { return outcome_; }

 private:
  static std::int64_t row_bytes() {
    return RowBytes(WireFormatOf(TheModel().numeric_class.ToString()), TheModel().spec.hidden_size);
  }

  static absl::StatusOr<std::string> Embed(std::span<const TokenId> ids) {
    GoldenModel& golden = TheModel();
    const int hidden_size = golden.spec.hidden_size;
    std::vector<float> hidden(ids.size() * hidden_size);
    if (absl::Status status = golden.head->Embed(ids, hidden.data()); !status.ok()) return status;
    std::string rows;
    EncodeRows(WireFormatOf(golden.numeric_class.ToString()), hidden.data(), std::ssize(ids),
               hidden_size, rows);
    return rows;
  }

  void OnToken(std::uint32_t sequence, std::int64_t position, TokenId id) override {
    std::vector<TokenId>& tokens = outcome_.tokens[sequence];
    tokens.push_back(id);
    if (tokens.size() % Chain::kAckEvery == 0) chain_->Acknowledge(sequence, position + 1);
  }

  void OnRows(std::uint32_t sequence, std::int64_t, std::int64_t count,
              std::string_view rows) override {
    GoldenModel& golden = TheModel();
    outcome_.rows_returned += static_cast<int>(count);
    std::vector<float> hidden(count * golden.spec.hidden_size);
    std::vector<float> logits(golden.spec.vocab_size);
    const std::string numeric_class = golden.numeric_class.ToString();
    DecodeRows(WireFormatOf(numeric_class), rows, count, golden.spec.hidden_size, hidden.data())
        .IgnoreError();
    const float* last = hidden.data() + (count - 1) * golden.spec.hidden_size;
    golden.head->Logits(last, 1, logits.data()).IgnoreError();
    const TokenId token = Likeliest(logits);
    outcome_.tokens[sequence].push_back(token);
    if (++known_[sequence] >= limits_[sequence]) return chain_->Finish(sequence);
    // Not in the chain's own callback.
    loop_->Post([this, sequence, token] { chain_->Append(sequence, token); });
  }

  void OnRoute(std::vector<RouteHop> route) override {
    outcome_.routes.push_back(std::move(route));
  }
  void OnRecovered(Recovery recovery) override {
    outcome_.recoveries.push_back(std::move(recovery));
  }
  void OnFailed(absl::Status status) override { outcome_.failure = std::move(status); }

  std::unique_ptr<Transport> transport_;
  std::unique_ptr<Loop> loop_;
  SwarmView view_;  // as asked last
  std::optional<Chain> chain_;
  Outcome outcome_;
  std::vector<std::int64_t> limits_;
  std::vector<std::int64_t> known_;
};

SimulatedSwarm::SimulatedSwarm(Options options)
    : options_(std::move(options)),
      time_(options_.seed),
      network_({.time = &time_, .delay = DelayOf(options_)}),
      client_(NumberedPeer(200)),
      operator_(time_.NewLoop("operator")) {
  for (const BlockRange& span : options_.spans) Start(span);
  client_end_ = std::make_unique<Client>(*this);
}

SimulatedSwarm::~SimulatedSwarm() = default;

const PeerId& SimulatedSwarm::peer(int server) const { return servers_[server]->address().peer; }
const ModelSpec& SimulatedSwarm::spec() const { return TheModel().spec; }

void SimulatedSwarm::Start(BlockRange blocks) {
  const auto number = static_cast<int>(servers_.size());
  servers_.push_back(std::make_unique<SimulatedPeer>(number, blocks, options_, network_));
}

void SimulatedSwarm::Kill(int server) { network_.Kill(peer(server)); }
void SimulatedSwarm::Freeze(int server) { network_.Freeze(peer(server)); }
void SimulatedSwarm::Thaw(int server) { network_.Thaw(peer(server)); }

void SimulatedSwarm::Restart(int server) {
  Kill(server);
  const BlockRange blocks = servers_[server]->blocks();
  dead_.push_back(std::move(servers_[server]));
  servers_[server] = std::make_unique<SimulatedPeer>(server, blocks, options_, network_);
}

void SimulatedSwarm::Cut(int server) {
  network_.BreakStreams(peer(server), client_);
  for (const auto& other : servers_) {
    if (other->address().peer != peer(server)) {
      network_.BreakStreams(peer(server), other->address().peer);
    }
  }
}

void SimulatedSwarm::Stop(int server, absl::Duration deadline) {
  servers_[server]->Stop(deadline, *operator_);
}

void SimulatedSwarm::Begin(Turn turn, std::int64_t kv_tokens) {
  client_end_->Begin(std::move(turn), kv_tokens);
}

bool SimulatedSwarm::RunUntilTokens(std::size_t tokens, absl::Duration limit) {
  return time_.RunUntil(
      [&] {
        if (outcome().failure.has_value()) return true;
        const auto& all = outcome().tokens;
        return std::all_of(all.begin(), all.end(),
                           [&](const auto& each) { return each.size() >= tokens; });
      },
      limit);
}

const SimulatedSwarm::Outcome& SimulatedSwarm::outcome() const { return client_end_->outcome(); }
Chain& SimulatedSwarm::chain() { return client_end_->chain(); }

void SimulatedSwarm::Leave() { client_end_->Leave(); }

int SimulatedSwarm::sessions() const {
  int sessions = 0;
  for (const auto& server : servers_) sessions += server->hop().counters().sessions;
  return sessions;
}

SwarmView SimulatedSwarm::View() const {
  SwarmView view{.num_blocks = spec().num_blocks, .peers = {}};
  for (const auto& server : servers_) {
    PeerView& peer = view.peers.emplace_back();
    peer.address = server->address();
    peer.blocks = server->blocks();
    peer.embeds = server->blocks().begin == 0;
    peer.samples = server->blocks().end == spec().num_blocks;
    peer.round_trip = 2 * options_.delay;
    peer.free_sessions = 1;
    peer.free_kv_tokens = kCacheTokens;
  }
  return view;
}

std::vector<int> SimulatedSwarm::Route() {
  std::vector<int> route;
  for (const PeerId& hop : chain().Route()) route.push_back(hop.bytes[0] - 1);
  return route;
}

}  // namespace fallow
