// What a client knows of the peers on its list: asked when needed, kept for a while.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/loop.h"
#include "swarm/route.h"
#include "swarm/swarm_view.h"
#include "wire/transport.h"

namespace fallow {

// Lives on one loop.
class PeerTable {
 public:
  struct Options {
    std::vector<PeerAddress> peers;
    int num_blocks = 0;
    std::string model;  // 32-byte manifest digest; empty: that of the first peer that answers
    std::string numeric_class;  // empty: any; the first that the answers of whole routes agree on
    absl::Duration timeout;     // of an answer
  };

  // `transport` and `loop` must outlive it.
  PeerTable(Options options, Transport& transport, Loop& loop);

  // Asks all peers, unless answers that make a route are younger than `fresh`, and calls `done`
  // when they suffice for a route (and a short grace for the rest is over), or all have answered or
  // failed: where that makes no route, who could not be reached is asked once more. Unavailable if
  // no peer serves this model in this class: says why for each.
  using Done = std::function<void(absl::Status)>;
  void Refresh(absl::Duration fresh, Done done);

  const SwarmView& view() const { return view_; }

  // The class and the model of the view; those of the view before it as long as it covers them.
  const std::string& numeric_class() const { return numeric_class_; }
  const std::string& model() const { return model_; }

  // Plans on the view; peers blamed in the last half minute are avoided where others serve. An
  // error says, too, why peers are not in the view.
  absl::StatusOr<std::vector<RouteStop>> Plan(BlockRange blocks, bool ring, std::int64_t kv_tokens,
                                              const std::set<PeerId>& exclude) const;
  void Blame(const PeerId& peer) { blamed_[peer] = loop_.Now(); }

 private:
  struct Round;  // of questions

  void Ask(const std::shared_ptr<Round>& round, const std::vector<PeerAddress>& peers);
  void TakeAnswer(const std::shared_ptr<Round>& round, const PeerAddress& peer, absl::Time asked,
                  absl::StatusOr<v1::InfoReply> reply);
  bool AskAgain(const std::shared_ptr<Round>& round);
  void Conclude(const std::shared_ptr<Round>& round);
  absl::Status ChooseView(const Round& round);

  const Options options_;
  Transport& transport_;
  Loop& loop_;
  SwarmView view_;
  std::vector<std::string> failures_;  // of peers that are not in it: "host:port#id: why"
  std::string numeric_class_;
  std::string model_;
  absl::Time refreshed_ = absl::InfinitePast();
  std::map<PeerId, absl::Time> blamed_;
};

}  // namespace fallow
