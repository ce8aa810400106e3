// A model cut into servers of this process, behind sockets, for tests that compare cuts.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fallow/block_server.h"
#include "fallow/distributed_model.h"

namespace fallow {

// Its functions are conditions of the test: they fail it rather than return an error. Each asks as
// a new client, for which no server has computed anything.
class CutModel {
 public:
  struct Hop {
    BlockRange blocks;
    std::string isa;  // that its kernels use
    std::string device = "cpu";
  };
  struct Options {
    std::string checkpoint;
    std::string numeric_class = "exact";
    std::string weights = "auto";
    std::vector<Hop> hops;   // none: all blocks in the client
    std::string client_isa;  // of the client's own kernels
  };
  explicit CutModel(const Options& options);

  // [prompt, vocab_size]
  std::vector<float> Logits(const std::vector<TokenId>& prompt);

  // Greedy ones, past end tokens.
  std::vector<TokenId> Tokens(const std::vector<TokenId>& prompt, int count, EndMode end_mode);

  // Those of several prompts at once.
  std::vector<std::vector<TokenId>> BatchTokens(const std::vector<std::vector<TokenId>>& prompts,
                                                int count, EndMode end_mode);

  // Logits of several prompts, each asked for by a thread of its own.
  std::vector<std::vector<float>> LogitsAtOnce(const std::vector<std::vector<TokenId>>& prompts);

 private:
  std::unique_ptr<DistributedModel> NewClient() const;

  std::vector<std::unique_ptr<BlockServer>> servers_;
  DistributedModel::Options client_;
  std::string client_isa_;
};

// The instruction sets of this machine, fastest first; the last is "generic".
std::vector<std::string> Isas();

// Checks that each prompt has the same logits and tokens alone as at once with the others.
void CheckAloneAndTogether(CutModel& model, const std::vector<std::vector<TokenId>>& prompts,
                           int count);

bool SameBits(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace fallow
