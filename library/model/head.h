// The two ends of a model: token embedding, and final norm with the head that gives logits.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "absl/status/statusor.h"
#include "fallow/model_spec.h"
#include "kernels/backend.h"
#include "model/packed_file.h"
#include "model/weights.h"

namespace fallow {

class Head {
 public:
  // Reads embedding (`embed`) and/or final norm and head (`logits`); a tied matrix is held once.
  struct Parts {
    bool embed = true;
    bool logits = true;
  };
  static absl::StatusOr<std::unique_ptr<Head>> Load(const Checkpoint& checkpoint,
                                                    const Family& family, const ModelSpec& spec,
                                                    const NumericClass& numeric_class, Parts parts,
                                                    std::int64_t max_rows, Backend& backend,
                                                    const PackedModel& packed = {});
  ~Head();

  std::int64_t weight_bytes() const;

  // Hidden states of tokens, rounded as at a block's end. hidden [ids.size(), hidden_size]
  // InvalidArgument for an id outside the vocabulary, or more than max_rows ids.
  absl::Status Embed(std::span<const TokenId> ids, float* hidden);

  // The `count` likeliest tokens of each row, as kernels/shortlist/ has them, without bringing all
  // logits to the host: at most kMostShortlist or the vocabulary. best [rows, count]; failed
  // [rows], 1 where a logit is not finite, else 0.
  static constexpr std::int64_t kMostShortlist = 1024;
  absl::Status Shortlist(const float* hidden, std::int64_t rows, std::int64_t count,
                         ShortlistEntry* best, std::uint8_t* failed);

  // logits [rows, vocab_size] of hidden [rows, hidden_size]; at most max_rows rows.
  absl::Status Logits(const float* hidden, std::int64_t rows, float* logits);

 private:
  struct Impl;
  explicit Head(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fallow
