// A whole model in this process, for tests: all blocks, both ends and a KV cache.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/worker_pool.h"
#include "kernels/backend.h"
#include "model/block_span.h"
#include "model/checkpoint.h"
#include "model/head.h"
#include "model/kv_cache.h"

namespace fallow {

class LoadedModel {
 public:
  struct Options {
    std::string path;
    std::string numeric_class = "fp32";
    std::string weights = "auto";
    const KernelTable* kernels = nullptr;  // of the host, unless there is a back end
    std::unique_ptr<Backend> (*backend)(WorkerPool& pool) = nullptr;
    int threads = 1;
    std::vector<int> cuts{};  // blocks at which the model is cut into spans
  };
  static absl::StatusOr<std::unique_ptr<LoadedModel>> Load(const Options& options);

  const ModelSpec& spec() const { return spec_; }
  const NumericClass& numeric_class() const { return numeric_class_; }
  BlockSpan& span(std::size_t i) { return *spans_[i]; }
  KvCache& cache(std::size_t i) { return *caches_[i]; }
  Head& head() { return *head_; }

  // A sequence has the same number on every span.
  KvCache::SequenceId Open(std::int64_t tokens);
  KvCache::SequenceId Fork(KvCache::SequenceId parent, std::int64_t positions, std::int64_t tokens);
  void Close(KvCache::SequenceId sequence);
  void Truncate(KvCache::SequenceId sequence, std::int64_t positions);

  struct Part {
    KvCache::SequenceId sequence = 0;
    std::vector<TokenId> ids;  // that come next
  };
  // One pass; the logits [rows, vocab_size] of all its rows. No row may fail.
  absl::StatusOr<std::vector<float>> Pass(const std::vector<Part>& parts);

  // Logits of all of `ids`, fed to a sequence at most `chunk` a pass.
  absl::StatusOr<std::vector<float>> Feed(KvCache::SequenceId sequence,
                                          std::span<const TokenId> ids, std::int64_t chunk);

  // Continues a prompt by `count` tokens, each the likeliest.
  absl::StatusOr<std::vector<TokenId>> Greedy(std::span<const TokenId> prompt, std::int64_t count,
                                              std::int64_t chunk);

 private:
  explicit LoadedModel(const Options& options)
      : pool_(options.threads),
        backend_(options.backend ? options.backend(pool_)
                                 : MakeHostBackend(*options.kernels, pool_)) {}

  WorkerPool pool_;
  std::unique_ptr<Backend> backend_;
  ModelSpec spec_;
  NumericClass numeric_class_;
  std::unique_ptr<Head> head_;
  std::vector<std::unique_ptr<BlockSpan>> spans_;
  std::vector<std::unique_ptr<KvCache>> caches_;
};

TokenId Likeliest(std::span<const float> logits);

// Mean over rows of KL(softmax(expected) || softmax(actual)), in nats.
double MeanDivergence(std::span<const float> expected, std::span<const float> actual,
                      std::int64_t vocab_size);

// Largest |expected - actual| over largest |expected|.
double RelativeError(std::span<const float> expected, std::span<const float> actual);

}  // namespace fallow
