#include "client/model_state.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "base/status_macros.h"
#include "model/sampler.h"
#include "server/local_server.h"
#include "wire/grpc_transport.h"

namespace fallow {
namespace {

constexpr absl::Duration kFresh = absl::Seconds(5);  // answers of peers, as a turn begins

}  // namespace

ModelState::ModelState(DistributedModel::Options options) : options_(std::move(options)) {}

ModelState::~ModelState() = default;

absl::StatusOr<std::shared_ptr<ModelState>> ModelState::Load(DistributedModel::Options options) {
  auto state = std::shared_ptr<ModelState>(new ModelState(std::move(options)));
  FALLOW_RETURN_IF_ERROR(state->ReadCheckpoint());
  if (state->options_.peers.empty()) {
    FALLOW_RETURN_IF_ERROR(state->ServeInProcess());
  } else {
    FALLOW_RETURN_IF_ERROR(state->ConnectToPeers());
  }
  return state;
}

absl::Status ModelState::ReadCheckpoint() {
  FALLOW_ASSIGN_OR_RETURN(checkpoint_, Checkpoint::Open(options_.checkpoint));
  FALLOW_ASSIGN_OR_RETURN(Family family, Family::For(*checkpoint_));
  family_ = std::move(family);
  FALLOW_ASSIGN_OR_RETURN(spec_, family_->ReadSpec(*checkpoint_));
  if (checkpoint_->tensor_names().empty()) return absl::OkStatus();
  FALLOW_ASSIGN_OR_RETURN(const Digest digest, ManifestDigest(*checkpoint_, *family_, spec_));
  model_.assign(digest.begin(), digest.end());
  return absl::OkStatus();
}

absl::Status ModelState::ServeInProcess() {
  network_.emplace(LoopbackOptions{.serialize = false});
  identity_ = Identity::Generate();
  const Identity server = Identity::Generate();
  FALLOW_ASSIGN_OR_RETURN(server_,
                          StartLocalServer({.checkpoint = options_.checkpoint,
                                            .listen = "in-process:0",
                                            .numeric_class = options_.numeric_class,
                                            .weights = options_.weights,
                                            .threads = options_.threads,
                                            .device = options_.device,
                                            .kv_memory = options_.kv_memory,
                                            .cache = options_.cache},
                                           server.peer(), network_->Attach(server.peer())));
  FALLOW_ASSIGN_OR_RETURN(PeerAddress address, PeerAddress::Parse(server_->address()));
  transport_ = network_->Attach(identity_->peer());
  loop_ = transport_->NewLoop("client");
  peers_ = std::make_unique<PeerTable>(PeerTable::Options{.peers = {address},
                                                          .num_blocks = spec_.num_blocks,
                                                          .model = model_,
                                                          .numeric_class = "",
                                                          .timeout = options_.connect_timeout},
                                       *transport_, *loop_);
  return absl::OkStatus();
}

absl::Status ModelState::ConnectToPeers() {
  if (options_.weights != "auto") {
    return absl::InvalidArgumentError(
        absl::StrCat("weights = \"", options_.weights,
                     "\" with peers: they chose theirs; ask for a numeric_class instead"));
  }
  if (options_.device != "auto") {
    return absl::InvalidArgumentError(
        absl::StrCat("device = \"", options_.device, "\" with peers: they chose theirs"));
  }
  PeerTable::Options table{.peers = {},
                           .num_blocks = spec_.num_blocks,
                           .model = model_,
                           .numeric_class = "",
                           .timeout = options_.connect_timeout};
  for (const std::string& peer : options_.peers) {
    FALLOW_ASSIGN_OR_RETURN(PeerAddress address, PeerAddress::Parse(peer));
    table.peers.push_back(std::move(address));
  }
  if (options_.numeric_class != "auto") {
    FALLOW_ASSIGN_OR_RETURN(const NumericClass wanted,
                            NumericClass::Choose(options_.numeric_class, "auto", *checkpoint_));
    table.numeric_class = wanted.ToString();
  }
  if (options_.identity.empty()) {
    identity_ = Identity::Generate();
  } else {
    FALLOW_ASSIGN_OR_RETURN(Identity identity, Identity::LoadOrCreate(options_.identity));
    identity_ = std::move(identity);
  }
  transport_ = MakeGrpcTransport(&*identity_, options_.insecure);
  loop_ = transport_->NewLoop("client");
  peers_ = std::make_unique<PeerTable>(std::move(table), *transport_, *loop_);
  return absl::OkStatus();
}

// ---- requests

absl::Status ModelState::Check(const GenerateOptions& options) const {
  FALLOW_RETURN_IF_ERROR(CheckProcess());
  if (options.max_new_tokens < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_new_tokens = ", options.max_new_tokens, ", expected at least 1"));
  }
  return Validate(options.sampling, spec_.vocab_size);
}

absl::Status ModelState::CheckPrompt(std::span<const TokenId> prompt, std::int64_t known) const {
  FALLOW_RETURN_IF_ERROR(CheckProcess());
  if (known < 1) return absl::InvalidArgumentError("prompt: empty, expected at least one token");
  if (known > spec_.max_positions) {
    return absl::InvalidArgumentError(
        absl::StrCat("prompt: ", known, " tokens, the model takes ", spec_.max_positions));
  }
  for (std::size_t i = 0; i < prompt.size(); ++i) {
    if (prompt[i] < 0 || prompt[i] >= spec_.vocab_size) {
      return absl::InvalidArgumentError(absl::StrCat("prompt: token ", prompt[i], " at position ",
                                                     i, ", expected [0, ", spec_.vocab_size, ")"));
    }
  }
  return absl::OkStatus();
}

std::vector<TokenId> ModelState::StopTokens(const GenerateOptions& options) const {
  std::vector<TokenId> stops = options.stop_tokens;
  if (!options.ignore_end_tokens) {
    stops.insert(stops.end(), spec_.end_tokens.begin(), spec_.end_tokens.end());
  }
  return stops;
}

absl::Status ModelState::AskPeers() {
  absl::Notification asked;
  absl::Status status;
  loop_->Post([&] {
    peers_->Refresh(kFresh, [&](absl::Status result) {
      status = std::move(result);
      asked.Notify();
    });
  });
  asked.WaitForNotification();
  if (!absl::IsUnavailable(status) || !options_.insecure) return status;
  // To a client without TLS a server with it only closes the connection.
  return absl::UnavailableError(
      absl::StrCat(std::string(status.message()), " (asked without TLS: insecure = true)"));
}

absl::StatusOr<std::unique_ptr<Conversation>> ModelState::Converse(EndMode end_mode) {
  FALLOW_RETURN_IF_ERROR(AskPeers());
  const PrivateEnds* ends = nullptr;
  if (end_mode == EndMode::kPrivateEnds) {
    FALLOW_ASSIGN_OR_RETURN(ends, Ends());
  }
  const ConversationContext context{
      .spec = spec_,
      .transport = *transport_,
      .loop = *loop_,
      .peers = *peers_,
      .payer = options_.payer.get(),
      .beginning_key = beginning_key_,
      .on_route = [this](std::vector<RouteHop> route) { KeepRoute(route); }};
  return std::make_unique<Conversation>(context, end_mode, ends);
}

absl::StatusOr<const PrivateEnds*> ModelState::Ends() {
  FALLOW_ASSIGN_OR_RETURN(const std::string announced, AskNumericClass());
  absl::MutexLock lock(&mutex_);
  if (ends_ == nullptr) {
    FALLOW_ASSIGN_OR_RETURN(const NumericClass numeric_class,
                            NumericClass::Choose(announced, "auto", *checkpoint_));
    FALLOW_ASSIGN_OR_RETURN(
        ends_, PrivateEnds::Load(*checkpoint_, *family_, spec_, numeric_class, options_.threads));
  }
  return ends_.get();
}

absl::StatusOr<std::string> ModelState::AskNumericClass() {
  FALLOW_RETURN_IF_ERROR(CheckProcess());
  FALLOW_RETURN_IF_ERROR(AskPeers());
  absl::Notification read;
  std::string numeric_class;
  loop_->Post([&] {
    numeric_class = peers_->numeric_class();
    read.Notify();
  });
  read.WaitForNotification();
  return numeric_class;
}

void ModelState::KeepRoute(std::vector<RouteHop>& route) {
  if (options_.peers.empty()) {
    for (RouteHop& hop : route) hop.address = "in process";
  }
  absl::MutexLock lock(&mutex_);
  route_ = route;
}

std::vector<RouteHop> ModelState::route() const {
  absl::MutexLock lock(&mutex_);
  return route_;
}

}  // namespace fallow
