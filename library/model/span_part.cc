#include "model/span_part.h"

#include <array>
#include <utility>

#include "base/status_macros.h"
#include "model/alibi.h"

namespace fallow {
namespace {

constexpr std::int64_t kRopeStep = 256;  // positions by which the tables grow

Activation ActivationOf(ModelSpec::Activation activation) {
  switch (activation) {
    case ModelSpec::Activation::kSilu:
      return Activation::kSilu;
    case ModelSpec::Activation::kGeluTanh:
      return Activation::kGeluTanh;
    case ModelSpec::Activation::kGeluErf:
      return Activation::kGeluErf;
  }
  return Activation::kSilu;
}

std::int64_t Number(const void* address) { return reinterpret_cast<std::intptr_t>(address); }

}  // namespace

SpanPart::SpanPart(const ModelSpec& spec, const NumericClass& numeric_class, std::int64_t max_rows,
                   int first, Backend& backend)
    : spec_(spec),
      numeric_class_(numeric_class),
      max_rows_(max_rows),
      first_(first),
      backend_(backend) {}

absl::StatusOr<std::unique_ptr<SpanPart>> SpanPart::Create(const ModelSpec& spec,
                                                           const NumericClass& numeric_class,
                                                           std::int64_t max_rows, int first,
                                                           Backend& backend) {
  auto part =
      std::unique_ptr<SpanPart>(new SpanPart(spec, numeric_class, max_rows, first, backend));
  FALLOW_RETURN_IF_ERROR(part->AllocateScratch());
  return part;
}

absl::Status SpanPart::AllocateScratch() {
  const Arithmetic arithmetic = numeric_class_.arithmetic;
  const auto activations = [&](std::int64_t k) {
    return ActivationBuffer::Allocate(backend_, arithmetic, max_rows_, k);
  };
  const auto floats = [&](std::int64_t stride) {
    return AllocateFloats(backend_, max_rows_ * stride);
  };
  FALLOW_ASSIGN_OR_RETURN(normed_, activations(spec_.hidden_size));
  FALLOW_ASSIGN_OR_RETURN(qkv_, floats(qkv_stride()));
  FALLOW_ASSIGN_OR_RETURN(attended_, floats(queries()));
  FALLOW_ASSIGN_OR_RETURN(attended_activations_, activations(queries()));
  FALLOW_ASSIGN_OR_RETURN(inner_, floats(inner_stride()));
  FALLOW_ASSIGN_OR_RETURN(inner_activations_, activations(spec_.intermediate_size));
  const auto staged = [&](std::int64_t bytes) {
    return Staged::Allocate(backend_, max_rows_ * bytes);
  };
  FALLOW_ASSIGN_OR_RETURN(staged_hidden_, staged(spec_.hidden_size * std::int64_t{sizeof(float)}));
  FALLOW_ASSIGN_OR_RETURN(staged_failed_, staged(1));
  FALLOW_ASSIGN_OR_RETURN(staged_positions_, staged(sizeof(std::int32_t)));
  if (spec_.position == ModelSpec::Position::kRope) {
    tables_.emplace(backend_, RopeTables(spec_.rope_dims, spec_.rope_theta, spec_.rope_scaling));
    return absl::OkStatus();
  }
  FALLOW_ASSIGN_OR_RETURN(slopes_, AllocateFloats(backend_, spec_.num_heads));
  const std::vector<float> values = AlibiSlopes(spec_.num_heads);
  slopes_.Fill(backend_, values);
  return absl::OkStatus();
}

absl::Status SpanPart::Read(const SlotReader& reader, int block) {
  FALLOW_ASSIGN_OR_RETURN(BlockWeights weights, BlockWeights::Read(reader, spec_, block));
  weight_bytes_ += weights.packed_bytes();
  blocks_.push_back(std::move(weights));
  return absl::OkStatus();
}

KvPlace SpanPart::kv_place() const {
  return {.layout = {.format = numeric_class_.kv,
                     .blocks = static_cast<int>(blocks_.size()),
                     .kv_heads = spec_.num_kv_heads,
                     .head_dim = spec_.head_dim},
          .backend = &backend_};
}

absl::Status SpanPart::Run(const Pass& pass, BlockRange blocks, const KvCache& cache, float* hidden,
                           std::span<std::uint8_t> failed) {
  runs_ = pass.runs;
  positions_ = pass.positions;
  const auto rows = std::ssize(pass.positions);
  staged_positions_.Send(positions_.data(), rows);
  if (tables_) {
    FALLOW_RETURN_IF_ERROR(tables_->Grow((pass.end + kRopeStep - 1) / kRopeStep * kRopeStep));
  }
  const std::int64_t numbers = rows * spec_.hidden_size;
  float* x = staged_hidden_.Send(hidden, numbers);
  std::uint8_t* bad = staged_failed_.Send(failed.data(), rows);
  const Backend::Pass calls{
      .runs = runs_,
      .rows = rows,
      .max_rows = max_rows_,
      .key = {Number(this), blocks.begin, blocks.end, Number(cache.view(first_).pool),
              Number(tables_ ? tables_->sine() : nullptr)}};
  backend_.RunPass(calls, [&](std::int64_t count) {
    for (int block = blocks.begin; block < blocks.end; ++block) {
      RunBlock(blocks_[block - first_], cache.view(block), x, count);
      backend_.Round({.x = x,
                      .rows = count,
                      .n = spec_.hidden_size,
                      .rounding = numeric_class_.rounding,
                      .failed = bad});
    }
  });
  staged_hidden_.Fetch(hidden, numbers);
  staged_failed_.Fetch(failed.data(), rows);
  return backend_.Finish();
}

void SpanPart::RunBlock(const BlockWeights& weights, const KvView& kv, float* hidden,
                        std::int64_t rows) {
  Normalise(weights.attention_norm, hidden, rows);
  Attend(weights, kv, hidden, rows);
  Normalise(weights.ffn_norm, hidden, rows);
  FeedForward(weights, hidden, rows);
}

void SpanPart::Normalise(const NormWeights& weights, const float* hidden, std::int64_t rows) {
  NormArgs args = NormOf(spec_, weights, hidden, rows);
  args.out = normed_.Rows(rows);
  backend_.Norm(args);
}

void SpanPart::Attend(const BlockWeights& weights, const KvView& kv, float* hidden,
                      std::int64_t rows) {
  const Activations x = normed_.Rows(rows);
  const std::int64_t stride = qkv_stride();
  float* query = qkv_.data();
  float* key = query + queries();
  float* value = key + keys();
  const std::array<MatmulArgs, 3> products = {Product(weights.query, x, query, stride),
                                              Product(weights.key, x, key, stride),
                                              Product(weights.value, x, value, stride)};
  backend_.Matmul(products);
  if (tables_) {
    Rotate(query, spec_.num_heads, rows);
    Rotate(key, spec_.num_kv_heads, rows);
  }
  backend_.Append({.key = key, .value = value, .stride = stride, .runs = runs_, .kv = kv});
  backend_.Attention({.query = query,
                      .query_stride = stride,
                      .out = attended_.data(),
                      .out_stride = queries(),
                      .heads = spec_.num_heads,
                      .scale = spec_.attention_scale,
                      .window = spec_.sliding_window,
                      .soft_cap = spec_.logit_soft_cap,
                      .slopes = slopes_.data(),
                      .runs = runs_,
                      .kv = kv});
  const Activations out = attended_activations_.Rows(rows);
  backend_.ToActivations({.x = attended_.data(),
                          .rows = rows,
                          .n = queries(),
                          .stride = queries(),
                          .column = 0,
                          .out = out});
  const MatmulArgs product = Product(weights.output, out, hidden, spec_.hidden_size, /*add=*/true);
  backend_.Matmul({&product, 1});
}

void SpanPart::Rotate(float* x, int heads, std::int64_t rows) {
  backend_.Rope({.x = x,
                 .rows = rows,
                 .stride = qkv_stride(),
                 .heads = heads,
                 .head_dim = spec_.head_dim,
                 .dims = spec_.rope_dims,
                 .position = staged_positions_.At(positions_.data()),
                 .cosine = tables_->cosine(),
                 .sine = tables_->sine()});
}

void SpanPart::FeedForward(const BlockWeights& weights, float* hidden, std::int64_t rows) {
  const Activations x = normed_.Rows(rows);
  const std::int64_t stride = inner_stride();
  float* gate = inner_.data();
  float* up = spec_.gated ? gate + spec_.intermediate_size : nullptr;
  if (spec_.gated) {
    const std::array<MatmulArgs, 2> products = {Product(weights.gate, x, gate, stride),
                                                Product(weights.up, x, up, stride)};
    backend_.Matmul(products);
  } else {
    const MatmulArgs product = Product(weights.up, x, gate, stride);
    backend_.Matmul({&product, 1});
  }
  const Activations out = inner_activations_.Rows(rows);
  backend_.Glu({.gate = gate,
                .up = up,
                .rows = rows,
                .n = spec_.intermediate_size,
                .stride = stride,
                .activation = ActivationOf(spec_.activation),
                .out = out});
  const MatmulArgs product = Product(weights.down, out, hidden, spec_.hidden_size, /*add=*/true);
  backend_.Matmul({&product, 1});
}

}  // namespace fallow
