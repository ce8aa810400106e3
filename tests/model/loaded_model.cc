#include "tests/model/loaded_model.h"

#include <algorithm>
#include <cmath>

#include "base/status_macros.h"

namespace fallow {
namespace {

constexpr std::int64_t kMaxRows = 256;
constexpr std::int64_t kCacheTokens = 4096;

}  // namespace

absl::StatusOr<std::unique_ptr<LoadedModel>> LoadedModel::Load(const Options& options) {
  auto model = std::unique_ptr<LoadedModel>(new LoadedModel(options));
  FALLOW_ASSIGN_OR_RETURN(const auto checkpoint, Checkpoint::Open(options.path));
  FALLOW_ASSIGN_OR_RETURN(const Family family, Family::For(*checkpoint));
  FALLOW_ASSIGN_OR_RETURN(model->spec_, family.ReadSpec(*checkpoint));
  FALLOW_ASSIGN_OR_RETURN(
      model->numeric_class_,
      NumericClass::Choose(options.numeric_class, options.weights, *checkpoint));
  FALLOW_ASSIGN_OR_RETURN(model->head_,
                          Head::Load(*checkpoint, family, model->spec_, model->numeric_class_,
                                     {.embed = true, .logits = true}, kMaxRows, *model->backend_));
  int begin = 0;
  std::vector<int> ends = options.cuts;
  ends.push_back(model->spec_.num_blocks);
  for (int end : ends) {
    FALLOW_ASSIGN_OR_RETURN(auto span,
                            BlockSpan::Load(*checkpoint, family, model->spec_, {begin, end},
                                            model->numeric_class_, kMaxRows, *model->backend_));
    const KvLayout layout = span->kv_layout();
    FALLOW_ASSIGN_OR_RETURN(
        auto cache, KvCache::Create(layout, layout.page_bytes() * kCacheTokens / kPagePositions,
                                    *model->backend_));
    model->spans_.push_back(std::move(span));
    model->caches_.push_back(std::move(cache));
    begin = end;
  }
  return model;
}

KvCache::SequenceId LoadedModel::Open(std::int64_t tokens) {
  KvCache::SequenceId id = 0;
  for (auto& cache : caches_) id = cache->Open(tokens).value();
  return id;
}

KvCache::SequenceId LoadedModel::Fork(KvCache::SequenceId parent, std::int64_t positions,
                                      std::int64_t tokens) {
  KvCache::SequenceId id = 0;
  for (auto& cache : caches_) id = cache->Fork(parent, positions, tokens).value();
  return id;
}

void LoadedModel::Close(KvCache::SequenceId sequence) {
  for (auto& cache : caches_) cache->Close(sequence);
}

void LoadedModel::Truncate(KvCache::SequenceId sequence, std::int64_t positions) {
  for (auto& cache : caches_) cache->Truncate(sequence, positions);
}

absl::StatusOr<std::vector<float>> LoadedModel::Pass(const std::vector<Part>& parts) {
  std::vector<TokenId> ids;
  std::vector<PassRun> runs;
  for (const Part& part : parts) {
    ids.insert(ids.end(), part.ids.begin(), part.ids.end());
    runs.push_back({.sequence = part.sequence,
                    .position = caches_[0]->size(part.sequence),
                    .rows = static_cast<std::int64_t>(part.ids.size())});
  }
  std::vector<float> hidden(ids.size() * spec_.hidden_size);
  FALLOW_RETURN_IF_ERROR(head_->Embed(ids, hidden.data()));
  std::vector<std::uint8_t> failed(ids.size());
  for (std::size_t i = 0; i < spans_.size(); ++i) {
    FALLOW_RETURN_IF_ERROR(spans_[i]->Forward(runs, *caches_[i], hidden.data(), failed));
    if (std::count(failed.begin(), failed.end(), 0) != std::ssize(failed)) {
      return absl::DataLossError("a row is not finite");
    }
  }
  std::vector<float> logits(ids.size() * spec_.vocab_size);
  FALLOW_RETURN_IF_ERROR(head_->Logits(hidden.data(), std::ssize(ids), logits.data()));
  return logits;
}

absl::StatusOr<std::vector<float>> LoadedModel::Feed(KvCache::SequenceId sequence,
                                                     std::span<const TokenId> ids,
                                                     std::int64_t chunk) {
  std::vector<float> logits;
  for (std::size_t at = 0; at < ids.size(); at += chunk) {
    const auto part = ids.subspan(at, std::min<std::size_t>(chunk, ids.size() - at));
    FALLOW_ASSIGN_OR_RETURN(const auto more, Pass({{sequence, {part.begin(), part.end()}}}));
    logits.insert(logits.end(), more.begin(), more.end());
  }
  return logits;
}

absl::StatusOr<std::vector<TokenId>> LoadedModel::Greedy(std::span<const TokenId> prompt,
                                                         std::int64_t count, std::int64_t chunk) {
  const KvCache::SequenceId sequence = Open(std::ssize(prompt) + count);
  FALLOW_ASSIGN_OR_RETURN(std::vector<float> logits, Feed(sequence, prompt, chunk));
  std::vector<TokenId> generated;
  for (;;) {
    generated.push_back(Likeliest(std::span(logits).last(spec_.vocab_size)));
    if (std::ssize(generated) == count) break;
    FALLOW_ASSIGN_OR_RETURN(logits, Pass({{sequence, {generated.back()}}}));
  }
  Close(sequence);
  return generated;
}

TokenId Likeliest(std::span<const float> logits) {
  return static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

double MeanDivergence(std::span<const float> expected, std::span<const float> actual,
                      std::int64_t vocab_size) {
  const auto log_total = [](std::span<const float> row) {
    const double largest = *std::max_element(row.begin(), row.end());
    double sum = 0;
    for (float logit : row) sum += std::exp(logit - largest);
    return largest + std::log(sum);
  };
  double sum = 0;
  const std::int64_t rows = std::ssize(expected) / vocab_size;
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto p = expected.subspan(row * vocab_size, vocab_size);
    const auto q = actual.subspan(row * vocab_size, vocab_size);
    const double log_p = log_total(p);
    const double log_q = log_total(q);
    for (std::int64_t i = 0; i < vocab_size; ++i) {
      sum += std::exp(p[i] - log_p) * ((p[i] - log_p) - (q[i] - log_q));
    }
  }
  return sum / rows;
}

double RelativeError(std::span<const float> expected, std::span<const float> actual) {
  double largest = 0;
  double error = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
    const double difference = std::abs(static_cast<double>(expected[i]) - actual[i]);
    if (!(difference <= error)) error = difference;  // NaN stays
  }
  return error / largest;
}

}  // namespace fallow
