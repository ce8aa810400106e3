// A whole swarm in one thread under a manual clock: block servers with a golden model, and a
// client's chain through them. What a test does to it happens at an exact step and can be repeated.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/manual_loop.h"
#include "client/chain.h"
#include "kernels/backend.h"
#include "server/hop.h"
#include "wire/loopback_transport.h"

namespace fallow {

// One server: its blocks, sessions, loops and transport.
class SimulatedPeer;

class SimulatedSwarm {
 public:
  struct Options {
    std::vector<BlockRange> spans;  // a server each; where they cover a block twice, replicas
    EndMode end_mode = EndMode::kRing;
    absl::Duration delay = absl::Milliseconds(5);  // of every message; with a seed the longest
    std::uint64_t seed = 0;                        // of the interleaving and the delays
    HopLimits limits{};
    std::shared_ptr<Gate> gate = nullptr;  // of every server
    Payer* payer = nullptr;
  };
  explicit SimulatedSwarm(Options options);
  ~SimulatedSwarm();

  ManualTime& time() { return time_; }
  LoopbackNetwork& network() { return network_; }
  const PeerId& peer(int server) const;
  const PeerId& client() const { return client_; }
  const ModelSpec& spec() const;

  // One more server, of the next number; the client does not know it until it looks again.
  void Start(BlockRange blocks);
  void Kill(int server);
  void Freeze(int server);
  void Thaw(int server);
  // The process ends and a new one begins, with the same identity and address and no sessions.
  void Restart(int server);
  // The connections between the server and everyone else break; new ones work.
  void Cut(int server);
  // The server stops as its operator would have it: once it is empty, or after `deadline`.
  void Stop(int server, absl::Duration deadline);

  // What came of a turn, so far.
  struct Outcome {
    std::vector<std::vector<TokenId>> tokens;  // by sequence
    std::vector<Recovery> recoveries;
    std::vector<std::vector<RouteHop>> routes;
    std::optional<absl::Status> failure;
    int rows_returned = 0;  // private ends
  };

  // Begins a turn; with private ends the swarm's client draws the likeliest token of each output.
  void Begin(Turn turn, std::int64_t kv_tokens);
  // Runs until `tokens` tokens of each unfinished sequence have come, or the chain failed.
  bool RunUntilTokens(std::size_t tokens, absl::Duration limit);
  const Outcome& outcome() const;
  Chain& chain();
  // Closes the session and forgets it; the last call to the client.
  void Leave();
  // On all servers.
  int sessions() const;

  // The hops of the route in use, by server number.
  std::vector<int> Route();

 private:
  class Client;

  SwarmView View() const;

  const Options options_;
  ManualTime time_;
  LoopbackNetwork network_;
  PeerId client_;
  std::unique_ptr<Loop> operator_;  // stops servers
  std::vector<std::unique_ptr<SimulatedPeer>> servers_;
  std::vector<std::unique_ptr<SimulatedPeer>> dead_;
  std::unique_ptr<Client> client_end_;
};

}  // namespace fallow
