// A server that holds consecutive blocks of a model and runs them for whoever opens a session.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fallow/gate.h"
#include "fallow/model_spec.h"
#include "fallow/peer.h"

namespace fallow {

// Threads and sockets are its own: it changes no process-wide state, installs no signal handler and
// never exits. Several can live in one process. Using one in a forked child is an error
// (FailedPrecondition: "started before fork").
class BlockServer {
 public:
  struct Options {
    std::string checkpoint;  // a directory (config.json, *.safetensors) or a .gguf file
    BlockRange blocks;       // empty: all
    std::string listen = "0.0.0.0:31330";  // host:port; port 0 takes a free one
    std::string identity;                  // key file, made if absent; empty: a new key each start
    bool insecure = false;  // plaintext, peers not identified: for closed networks only
    std::string numeric_class = "auto";  // auto, fp32, bf16, exact, or a whole class string
    std::string weights = "auto";        // auto, fp32, bf16, q8, q4
    int threads = 0;  // of the computation; 0: on all cores, shared with the process's other models
    // auto (all GPUs, and the CPU for what they have no room for), cpu, cuda, cuda:1 (the second),
    // cuda-emulated (in an emulator, slowly), or several, filled in order: "cuda:0,cuda:1,cpu"
    std::string device = "auto";
    int max_sessions = 64;       // open at once; more are ResourceExhausted
    std::int64_t kv_memory = 0;  // bytes for keys and values; 0: a quarter of the device's
    std::string cache;  // of packed weights, for quick starts: a directory, or auto; empty: none
    std::int64_t max_outbox = 64 << 20;        // bytes kept per session for replays
    std::string announce;                      // host put into address(); empty: that of `listen`
    absl::Duration grace = absl::Seconds(30);  // a session without its client is kept
    absl::Duration idle_timeout = absl::Minutes(10);  // a session without a step is closed
    std::shared_ptr<Gate> gate;                       // none: all work is welcome
  };

  // Loads the blocks and listens. Returns when sessions can be opened.
  // InvalidArgument (options), NotFound or DataLoss (checkpoint), Unavailable (address in use),
  // ResourceExhausted (memory).
  static absl::StatusOr<std::unique_ptr<BlockServer>> Start(Options options);

  // Stops at once if Stop() was not called before.
  ~BlockServer();
  BlockServer(const BlockServer&) = delete;
  BlockServer& operator=(const BlockServer&) = delete;

  const std::string& address() const;  // "host:port#peer-id"
  const PeerId& peer() const;
  const ModelSpec& spec() const;
  BlockRange blocks() const;
  const std::string& numeric_class() const;

  struct Stats {
    int sessions = 0;
    std::int64_t weight_bytes = 0;
    std::int64_t kv_tokens_reserved = 0;
    std::int64_t kv_tokens_capacity = 0;
    std::uint64_t passes = 0;
    std::uint64_t rows = 0;
    absl::Duration computing;  // time spent in passes
    bool draining = false;     // takes no new session: it is stopping, or its device failed
  };
  Stats stats() const;

  // Tells sessions to move away, waits until they have or `deadline` has passed, then stops.
  void Stop(absl::Duration deadline = absl::Seconds(5));

  // Blocks until Stop() is called from another thread or `timeout` has passed; true if stopped.
  bool Wait(absl::Duration timeout = absl::InfiniteDuration());

 private:
  friend class LocalServer;
  struct Impl;
  explicit BlockServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fallow
