// The client's own embedding and head, for sessions whose servers never see tokens.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "fallow/model_spec.h"
#include "model/checkpoint.h"
#include "model/head.h"
#include "wire/codec.h"

namespace fallow {

// Thread-safe.
class PrivateEnds {
 public:
  static absl::StatusOr<std::unique_ptr<PrivateEnds>> Load(const Checkpoint& checkpoint,
                                                           const Family& family,
                                                           const ModelSpec& spec,
                                                           const NumericClass& numeric_class,
                                                           int threads);

  // Hidden states of tokens in wire format.
  absl::StatusOr<std::string> Embed(std::span<const TokenId> ids) const;

  // logits [count, vocab_size] of the last hop's outputs, which come in wire format.
  absl::StatusOr<std::vector<float>> Logits(std::string_view rows, std::int64_t count) const;

  std::int64_t row_bytes() const { return RowBytes(format_, spec_.hidden_size); }

 private:
  PrivateEnds(const ModelSpec& spec, WireFormat format, int threads);

  const ModelSpec spec_;
  const WireFormat format_;
  const std::shared_ptr<WorkerPool> pool_;
  std::unique_ptr<Backend> backend_;
  mutable absl::Mutex mutex_;  // a back end runs one pass at a time
  std::unique_ptr<Head> head_ ABSL_PT_GUARDED_BY(mutex_);
};

}  // namespace fallow
