#include "model/head.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "model/slots.h"
#include "model/staged.h"

namespace fallow {

struct Head::Impl {
  Backend& backend;
  const ModelSpec spec;
  const NumericClass numeric_class;
  const std::int64_t max_rows;
  const Parts parts;

  Weight embedding;
  NormWeights embedding_norm;
  NormWeights final_norm;
  Weight head;              // shares the embedding's memory where the two are tied
  ActivationBuffer normed;  // [rows, hidden_size]
  Staged staged_ids;        // [rows]
  Staged staged_hidden;     // [rows, hidden_size]
  Staged staged_failed;     // [rows]
  Staged staged_logits;     // [rows, vocab_size]
  Staged staged_best;       // [rows, kMostShortlist]
  std::vector<std::uint8_t> failed;
  std::vector<float> host_logits;  // of a shortlist, where the device has the host's memory

  absl::Status AllocateStaged();
  absl::Status CheckRows(std::int64_t rows) const;
  absl::Status CheckLogits(std::int64_t rows) const;
  void EnqueueLogits(const float* hidden, std::int64_t rows, float* logits);
  absl::StatusOr<Weight> ReadMatrix(const SlotReader& reader, const std::string& slot) const {
    FALLOW_ASSIGN_OR_RETURN(LinearWeights linear,
                            reader.Linear(slot, 0, spec.vocab_size, spec.hidden_size));
    return std::move(linear.weight);
  }
  absl::Status ReadEmbedding(const SlotReader& reader);
  absl::Status ReadHead(const SlotReader& reader);
};

absl::Status Head::Impl::AllocateStaged() {
  const auto staged = [&](std::int64_t rows, std::int64_t bytes) {
    return Staged::Allocate(backend, rows * bytes);
  };
  constexpr std::int64_t kFloatBytes = sizeof(float);
  constexpr std::int64_t kEntryBytes = sizeof(ShortlistEntry);
  FALLOW_ASSIGN_OR_RETURN(staged_ids, staged(max_rows, sizeof(TokenId)));
  FALLOW_ASSIGN_OR_RETURN(staged_hidden, staged(max_rows, spec.hidden_size * kFloatBytes));
  FALLOW_ASSIGN_OR_RETURN(staged_failed, staged(max_rows, 1));
  if (!parts.logits) return absl::OkStatus();
  FALLOW_ASSIGN_OR_RETURN(staged_logits, staged(max_rows, spec.vocab_size * kFloatBytes));
  FALLOW_ASSIGN_OR_RETURN(staged_best, staged(max_rows, kMostShortlist * kEntryBytes));
  return absl::OkStatus();
}

absl::Status Head::Impl::CheckRows(std::int64_t rows) const {
  if (rows >= 0 && rows <= max_rows) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("head: ", rows, " rows, expected at most ", max_rows));
}

absl::Status Head::Impl::CheckLogits(std::int64_t rows) const {
  if (!parts.logits) return absl::InternalError("head: loaded without the logits' part");
  return CheckRows(rows);
}

absl::Status Head::Impl::ReadEmbedding(const SlotReader& reader) {
  if (parts.embed || (parts.logits && spec.tied_head)) {
    FALLOW_ASSIGN_OR_RETURN(embedding, ReadMatrix(reader, "embedding"));
  }
  if (parts.embed && spec.embedding_norm) {
    FALLOW_ASSIGN_OR_RETURN(embedding_norm, reader.Norm("embedding_norm", 0));
  }
  return absl::OkStatus();
}

absl::Status Head::Impl::ReadHead(const SlotReader& reader) {
  if (!parts.logits) return absl::OkStatus();
  FALLOW_ASSIGN_OR_RETURN(final_norm, reader.Norm("final_norm", 0));
  if (spec.tied_head) {
    head = embedding;
  } else {
    FALLOW_ASSIGN_OR_RETURN(head, ReadMatrix(reader, "head"));
  }
  FALLOW_ASSIGN_OR_RETURN(normed, ActivationBuffer::Allocate(backend, numeric_class.arithmetic,
                                                             max_rows, spec.hidden_size));
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Head>> Head::Load(const Checkpoint& checkpoint, const Family& family,
                                                 const ModelSpec& spec,
                                                 const NumericClass& numeric_class, Parts parts,
                                                 std::int64_t max_rows, Backend& backend,
                                                 const PackedModel& packed) {
  if (max_rows < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("head: max_rows is ", max_rows, ", expected at least 1"));
  }
  auto impl = std::unique_ptr<Impl>(new Impl{.backend = backend,
                                             .spec = spec,
                                             .numeric_class = numeric_class,
                                             .max_rows = max_rows,
                                             .parts = parts,
                                             .embedding = {},
                                             .embedding_norm = {},
                                             .final_norm = {},
                                             .head = {},
                                             .normed = {},
                                             .staged_ids = {},
                                             .staged_hidden = {},
                                             .staged_failed = {},
                                             .staged_logits = {},
                                             .staged_best = {},
                                             .failed = {},
                                             .host_logits = {}});
  const SlotReader::Source source{checkpoint, family, spec, numeric_class, backend};
  FALLOW_RETURN_IF_ERROR(impl->ReadEmbedding(SlotReader(source, packed.embedding.get())));
  FALLOW_RETURN_IF_ERROR(impl->ReadHead(SlotReader(source, packed.head.get())));
  FALLOW_RETURN_IF_ERROR(impl->AllocateStaged());
  return std::unique_ptr<Head>(new Head(std::move(impl)));
}

Head::Head(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Head::~Head() = default;

std::int64_t Head::weight_bytes() const {
  std::int64_t bytes = 0;
  if (impl_->embedding.memory) bytes += impl_->embedding.panels.bytes();
  if (impl_->head.memory != impl_->embedding.memory) bytes += impl_->head.panels.bytes();
  return bytes;
}

absl::Status Head::Embed(std::span<const TokenId> ids, float* hidden) {
  Impl& impl = *impl_;
  if (!impl.parts.embed) return absl::InternalError("head: loaded without the embedding");
  for (TokenId id : ids) {
    if (id < 0 || id >= impl.spec.vocab_size) {
      return absl::InvalidArgumentError(
          absl::StrCat("head: token ", id, ", expected 0 to ", impl.spec.vocab_size - 1));
    }
  }
  const auto rows = static_cast<std::int64_t>(ids.size());
  FALLOW_RETURN_IF_ERROR(impl.CheckRows(rows));
  if (rows == 0) return absl::OkStatus();
  float* x = impl.staged_hidden.At(hidden);
  impl.backend.Embed({.table = impl.embedding.panels,
                      .ids = impl.staged_ids.Send(ids.data(), rows),
                      .rows = rows,
                      .scale = impl.spec.embedding_scale,
                      .out = x});
  if (impl.spec.embedding_norm) {
    NormArgs norm = NormOf(impl.spec, impl.embedding_norm, x, rows);
    norm.values = x;
    norm.out.arithmetic = impl.numeric_class.arithmetic;
    impl.backend.Norm(norm);
  }
  impl.failed.assign(ids.size(), 0);
  impl.backend.Round({.x = x,
                      .rows = rows,
                      .n = impl.spec.hidden_size,
                      .rounding = impl.numeric_class.rounding,
                      .failed = impl.staged_failed.Send(impl.failed.data(), rows)});
  impl.staged_hidden.Fetch(hidden, rows * impl.spec.hidden_size);
  impl.staged_failed.Fetch(impl.failed.data(), rows);
  FALLOW_RETURN_IF_ERROR(impl.backend.Finish());
  const auto bad = std::find(impl.failed.begin(), impl.failed.end(), 1);
  if (bad != impl.failed.end()) {
    return absl::DataLossError(absl::StrCat("head: the embedding of token ",
                                            ids[bad - impl.failed.begin()],
                                            " is not finite: the checkpoint is damaged"));
  }
  return absl::OkStatus();
}

void Head::Impl::EnqueueLogits(const float* hidden, std::int64_t rows, float* logits) {
  const float* x = staged_hidden.Send(hidden, rows * spec.hidden_size);
  NormArgs norm = NormOf(spec, final_norm, x, rows);
  norm.out = normed.Rows(rows);
  backend.Norm(norm);
  const MatmulArgs product{.weight = head.panels,
                           .x = norm.out,
                           .y = logits,
                           .stride = spec.vocab_size,
                           .bias = nullptr,
                           .add = false};
  backend.Matmul({&product, 1});
}

absl::Status Head::Logits(const float* hidden, std::int64_t rows, float* logits) {
  Impl& impl = *impl_;
  FALLOW_RETURN_IF_ERROR(impl.CheckLogits(rows));
  if (rows == 0) return absl::OkStatus();
  impl.EnqueueLogits(hidden, rows, impl.staged_logits.At(logits));
  impl.staged_logits.Fetch(logits, rows * impl.spec.vocab_size);
  return impl.backend.Finish();
}

absl::Status Head::Shortlist(const float* hidden, std::int64_t rows, std::int64_t count,
                             ShortlistEntry* best, std::uint8_t* failed) {
  Impl& impl = *impl_;
  FALLOW_RETURN_IF_ERROR(impl.CheckLogits(rows));
  const std::int64_t most = std::min(kMostShortlist, std::int64_t{impl.spec.vocab_size});
  if (count < 1 || count > most) {
    return absl::InvalidArgumentError(
        absl::StrCat("head: a shortlist of ", count, ", expected 1 to ", most));
  }
  if (rows == 0) return absl::OkStatus();
  if (impl.backend.unified()) impl.host_logits.resize(rows * impl.spec.vocab_size);
  float* logits = impl.staged_logits.At(impl.host_logits.data());
  impl.EnqueueLogits(hidden, rows, logits);
  std::fill_n(failed, rows, 0);
  impl.backend.Shortlist({.logits = logits,
                          .rows = rows,
                          .n = impl.spec.vocab_size,
                          .count = count,
                          .best = impl.staged_best.At(best),
                          .failed = impl.staged_failed.Send(failed, rows)});
  impl.staged_best.Fetch(best, rows * count);
  impl.staged_failed.Fetch(failed, rows);
  return impl.backend.Finish();
}

}  // namespace fallow
