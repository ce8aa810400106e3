// Start here: a language model whose blocks run on other machines, or in this process.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "fallow/gate.h"
#include "fallow/model_spec.h"
#include "fallow/peer.h"
#include "fallow/session.h"

namespace fallow {

// Thread-safe: several threads may generate at once. No process-wide state; using one in a forked
// child is an error (FailedPrecondition: "started before fork").
class DistributedModel {
 public:
  struct Options {
    std::string checkpoint;  // a directory or a .gguf file; the client needs its configuration
    std::vector<std::string> peers;  // "host:port#peer-id"; may overlap; none: run in this process
    std::string identity;            // key file, made if absent; empty: a new key each time
    bool insecure = false;           // plaintext, to servers that were started so
    std::string numeric_class =
        "auto";                    // auto: that of the peers; else they must announce this one
    std::string weights = "auto";  // without peers: auto, fp32, bf16, q8, q4
    int threads = 0;               // without peers and for private ends; 0: all cores
    std::string device = "auto";   // without peers: as BlockServer's
    std::int64_t kv_memory = 0;    // without peers; 0: a quarter of the memory
    std::string cache;             // as BlockServer's, without peers
    absl::Duration connect_timeout = absl::Seconds(5);
    std::shared_ptr<Payer> payer;
  };

  // Reads the configuration and, without peers, the weights. Peers are asked when first needed.
  static absl::StatusOr<std::unique_ptr<DistributedModel>> Load(Options options);

  ~DistributedModel();
  DistributedModel(const DistributedModel&) = delete;
  DistributedModel& operator=(const DistributedModel&) = delete;

  const ModelSpec& spec() const;

  // Generates after one prompt. The errors: InvalidArgument (prompt or options), Unavailable (names
  // the blocks that nobody serves), FailedPrecondition (halted or unpaid), Cancelled never: a
  // callback that says no is a normal end.
  absl::StatusOr<Generation> Generate(std::span<const TokenId> prompt,
                                      const GenerateOptions& options, OnToken on_token);

  // Several prompts of any lengths, computed together. `on_token` gets the prompt's index too.
  using OnBatchToken = absl::FunctionRef<bool(int prompt, TokenId token)>;
  absl::StatusOr<Generation> GenerateBatch(const std::vector<std::vector<TokenId>>& prompts,
                                           const GenerateOptions& options, OnBatchToken on_token);

  // logits [prompt.size(), vocab_size] of a whole prompt. Private ends: reads embedding and head.
  absl::StatusOr<std::vector<float>> Logits(std::span<const TokenId> prompt);

  absl::StatusOr<std::unique_ptr<Session>> OpenSession();

  // The hops of the generation that began or ended last; their times are those so far.
  std::vector<RouteHop> route() const;

  // The class that generations run in; asks the peers if need be.
  absl::StatusOr<std::string> numeric_class();

 private:
  struct Impl;
  explicit DistributedModel(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fallow
