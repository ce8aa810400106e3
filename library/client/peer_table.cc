#include "client/peer_table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace fallow {
namespace {

constexpr absl::Duration kGrace = absl::Milliseconds(150);  // for the rest, once a route is covered
constexpr absl::Duration kPause = absl::Milliseconds(150);  // before peers are asked again
constexpr std::uint32_t kMostQueuedRows = 1 << 20;          // a larger claim says no more
constexpr absl::Duration kBlameLasts = absl::Seconds(30);

// Checked: sizes and ranges are as the protocol says.
absl::StatusOr<PeerView> ToView(const PeerAddress& address, const v1::InfoReply& info,
                                int num_blocks, absl::Duration round_trip) {
  const BlockRange blocks{static_cast<int>(info.span().begin()),
                          static_cast<int>(info.span().end())};
  if (info.version() != 1) {
    return absl::UnimplementedError(
        absl::StrCat("speaks protocol version ", info.version(), ", we speak 1"));
  }
  if (static_cast<int>(info.num_blocks()) != num_blocks || blocks.begin < 0 || blocks.empty() ||
      blocks.end > num_blocks || info.model().size() != 32 ||
      info.block_digests_size() != blocks.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("serves blocks ", ToString(blocks), " of ", info.num_blocks(), " with ",
                     info.block_digests_size(), " digests, expected a part of ", num_blocks));
  }
  return PeerView{.address = address,
                  .blocks = blocks,
                  .embeds = info.embeds(),
                  .samples = info.samples(),
                  .numeric_class = info.numeric_class(),
                  .model = info.model(),
                  .block_digests = {info.block_digests().begin(), info.block_digests().end()},
                  .ends_digest = info.ends_digest(),
                  .round_trip = round_trip,
                  .queued_rows = static_cast<int>(std::min(info.queued_rows(), kMostQueuedRows)),
                  .free_sessions = static_cast<int>(info.free_sessions()),
                  .free_kv_tokens = static_cast<std::int64_t>(info.free_kv_tokens())};
}

bool Covers(const std::vector<PeerView>& peers, int num_blocks) {
  return MissingBlocks({num_blocks, peers}, {0, num_blocks}, {}).empty();
}

// Replicas must hold the same weights: where digests of a block differ, the earlier peer's hold.
bool Agrees(const PeerView& peer, const std::vector<PeerView>& others) {
  for (const PeerView& other : others) {
    const int begin = std::max(peer.blocks.begin, other.blocks.begin);
    const int end = std::min(peer.blocks.end, other.blocks.end);
    for (int block = begin; block < end; ++block) {
      if (peer.block_digests[block - peer.blocks.begin] !=
          other.block_digests[block - other.blocks.begin]) {
        return false;
      }
    }
    if (!peer.ends_digest.empty() && !other.ends_digest.empty() &&
        peer.ends_digest != other.ends_digest) {
      return false;
    }
  }
  return true;
}

}  // namespace

struct PeerTable::Round {
  std::vector<PeerView> answers;  // in the order of the options' list at the end
  std::vector<std::pair<PeerAddress, absl::Status>> failures;
  std::size_t waiting = 0;
  bool asked_again = false;
  bool grace_began = false;
  bool concluded = false;
  Done done;
};

PeerTable::PeerTable(Options options, Transport& transport, Loop& loop)
    : options_(std::move(options)), transport_(transport), loop_(loop) {}

void PeerTable::Refresh(absl::Duration fresh, Done done) {
  if (loop_.Now() - refreshed_ < fresh) return done(absl::OkStatus());
  auto round = std::make_shared<Round>();
  round->done = std::move(done);
  Ask(round, options_.peers);
}

void PeerTable::Ask(const std::shared_ptr<Round>& round, const std::vector<PeerAddress>& peers) {
  round->waiting = peers.size();
  for (const PeerAddress& peer : peers) {
    const absl::Time asked = loop_.Now();
    transport_.Info(peer, options_.timeout, loop_,
                    [this, round, peer, asked](absl::StatusOr<v1::InfoReply> reply) {
                      TakeAnswer(round, peer, asked, std::move(reply));
                    });
  }
}

void PeerTable::TakeAnswer(const std::shared_ptr<Round>& round, const PeerAddress& peer,
                           absl::Time asked, absl::StatusOr<v1::InfoReply> reply) {
  auto view = reply.ok() ? ToView(peer, *reply, options_.num_blocks, loop_.Now() - asked)
                         : absl::StatusOr<PeerView>(reply.status());
  if (view.ok()) {
    round->answers.push_back(*std::move(view));
  } else {
    round->failures.emplace_back(peer, view.status());
  }
  const bool covered = Covers(round->answers, options_.num_blocks);
  if (--round->waiting == 0) return covered || !AskAgain(round) ? Conclude(round) : void();
  if (covered && !std::exchange(round->grace_began, true)) {
    loop_.After(kGrace, [this, round] { Conclude(round); });
  }
}

// Those that could not be reached, once. False if there are none.
bool PeerTable::AskAgain(const std::shared_ptr<Round>& round) {
  if (std::exchange(round->asked_again, true)) return false;
  std::vector<PeerAddress> peers;
  for (const auto& [peer, why] : round->failures) {
    if (absl::IsUnavailable(why)) peers.push_back(peer);
  }
  if (peers.empty()) return false;
  std::erase_if(round->failures, [](const auto& each) { return absl::IsUnavailable(each.second); });
  loop_.After(kPause, [this, round, peers = std::move(peers)] { Ask(round, peers); });
  return true;
}

void PeerTable::Conclude(const std::shared_ptr<Round>& round) {
  if (std::exchange(round->concluded, true)) return;
  // The list's order, whoever answered first: it breaks ties in routes and between digests.
  auto place = [&](const PeerView& view) {
    return std::find(options_.peers.begin(), options_.peers.end(), view.address) -
           options_.peers.begin();
  };
  std::sort(round->answers.begin(), round->answers.end(),
            [&](const PeerView& a, const PeerView& b) { return place(a) < place(b); });
  absl::Status status = ChooseView(*round);
  if (status.ok() && Covers(view_.peers, options_.num_blocks)) refreshed_ = loop_.Now();
  round->done(std::move(status));
}

absl::Status PeerTable::ChooseView(const Round& round) {
  std::vector<std::string> failures;
  for (const auto& [peer, why] : round.failures) {
    failures.push_back(absl::StrCat(peer.ToString(), ": ", std::string(why.message())));
  }
  std::vector<std::pair<std::string, std::vector<PeerView>>> by_class;  // in order of appearance
  std::string model = options_.model.empty() ? model_ : options_.model;
  for (const PeerView& peer : round.answers) {
    if (model.empty()) model = peer.model;
    if (peer.model != model) {
      failures.push_back(absl::StrCat(peer.address.ToString(), ": serves another model"));
      continue;
    }
    if (!options_.numeric_class.empty() && peer.numeric_class != options_.numeric_class) {
      failures.push_back(absl::StrCat(peer.address.ToString(), ": computes in class ",
                                      peer.numeric_class, ", expected ", options_.numeric_class));
      continue;
    }
    auto group = std::find_if(by_class.begin(), by_class.end(),
                              [&](const auto& each) { return each.first == peer.numeric_class; });
    if (group == by_class.end()) group = by_class.insert(group, {peer.numeric_class, {}});
    if (Agrees(peer, group->second)) {
      group->second.push_back(peer);
    } else {
      failures.push_back(absl::StrCat(peer.address.ToString(),
                                      ": holds other weights than peers named before it"));
    }
  }
  failures_ = std::move(failures);
  if (by_class.empty()) {
    return absl::UnavailableError(
        absl::StrCat("no peer serves this model: ", absl::StrJoin(failures_, "; ")));
  }
  // A session that looks for a replica goes on in its class.
  const auto place = [&](const auto& group) {
    return std::pair(!Covers(group.second, options_.num_blocks), group.first != numeric_class_);
  };
  const auto chosen =
      std::min_element(by_class.begin(), by_class.end(),
                       [&](const auto& a, const auto& b) { return place(a) < place(b); });
  numeric_class_ = chosen->first;
  model_ = model;
  view_ = {options_.num_blocks, std::move(chosen->second)};
  return absl::OkStatus();
}

absl::StatusOr<std::vector<RouteStop>> PeerTable::Plan(BlockRange blocks, bool ring,
                                                       std::int64_t kv_tokens,
                                                       const std::set<PeerId>& exclude) const {
  RouteRequest request{.blocks = blocks, .ring = ring, .kv_tokens = kv_tokens, .exclude = exclude};
  for (const auto& [peer, when] : blamed_) {
    if (loop_.Now() - when < kBlameLasts) request.avoid.insert(peer);
  }
  auto route = PlanRoute(view_, request);
  if (!absl::IsUnavailable(route.status()) || failures_.empty()) return route;
  return absl::UnavailableError(absl::StrCat(std::string(route.status().message()), " (",
                                             absl::StrJoin(failures_, "; "), ")"));
}

}  // namespace fallow
