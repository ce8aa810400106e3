#include "model/block_span.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "model/alibi.h"
#include "model/block_weights.h"
#include "model/device_tables.h"
#include "model/staged.h"

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

absl::Status CheckSpan(const ModelSpec& spec, BlockRange blocks, std::int64_t max_rows) {
  if (blocks.begin < 0 || blocks.empty() || blocks.end > spec.num_blocks) {
    return absl::InvalidArgumentError(absl::StrCat(
        "span: blocks ", ToString(blocks), ", expected some of [0, ", spec.num_blocks, ")"));
  }
  if (max_rows < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("span: max_rows is ", max_rows, ", expected at least 1"));
  }
  if (spec.head_dim % 16 != 0 || spec.head_dim > kMaxHeadDim) {
    return absl::UnimplementedError(absl::StrCat(
        "span: head_dim is ", spec.head_dim, ", expected a multiple of 16 up to ", kMaxHeadDim));
  }
  return absl::OkStatus();
}

bool Same(const KvLayout& a, const KvLayout& b) {
  return a.format == b.format && a.blocks == b.blocks && a.kv_heads == b.kv_heads &&
         a.head_dim == b.head_dim;
}

absl::Status CheckRun(const PassRun& run, const KvCache& cache) {
  if (!cache.Contains(run.sequence)) {
    return absl::InvalidArgumentError(
        absl::StrCat("span: sequence ", run.sequence, " is not open"));
  }
  const std::int64_t size = cache.size(run.sequence);
  if (run.position != size) {
    return absl::InvalidArgumentError(absl::StrCat("span: sequence ", run.sequence,
                                                   " continued at position ", run.position,
                                                   ", expected ", size));
  }
  const std::int64_t left = cache.limit(run.sequence) - size;
  if (run.rows < 1 || run.rows > left) {
    return absl::InvalidArgumentError(absl::StrCat("span: ", run.rows, " rows for sequence ",
                                                   run.sequence, " at position ", size,
                                                   ", expected 1 to ", left));
  }
  return absl::OkStatus();
}

}  // namespace

// Rows of floats between the kernels; every buffer has room for max_rows.
struct BlockSpan::Impl {
  Impl(Backend& backend, const ModelSpec& spec, BlockRange range, const NumericClass& numeric_class,
       std::int64_t max_rows)
      : backend(backend),
        spec(spec),
        range(range),
        numeric_class(numeric_class),
        max_rows(max_rows) {}

  std::int64_t queries() const { return std::int64_t{spec.num_heads} * spec.head_dim; }
  std::int64_t keys() const { return std::int64_t{spec.num_kv_heads} * spec.head_dim; }
  std::int64_t qkv_stride() const { return queries() + 2 * keys(); }
  std::int64_t inner_stride() const { return (spec.gated ? 2 : 1) * spec.intermediate_size; }

  KvLayout Layout() const {
    return {.format = numeric_class.kv,
            .blocks = range.size(),
            .kv_heads = spec.num_kv_heads,
            .head_dim = spec.head_dim};
  }

  absl::Status AllocateScratch();
  absl::Status Check(std::span<const PassRun> runs, const KvCache& cache,
                     std::span<const std::uint8_t> failed);
  absl::Status Prepare(std::span<const PassRun> runs, KvCache& cache);
  void Run(BlockRange blocks, KvCache& cache, float* hidden, std::span<std::uint8_t> failed);
  void RunBlock(const BlockWeights& weights, const KvView& kv, float* hidden, std::int64_t rows);
  void Normalise(const NormWeights& weights, const float* hidden, std::int64_t rows);
  void Attend(const BlockWeights& weights, const KvView& kv, float* hidden, std::int64_t rows);
  void Rotate(float* x, int heads, std::int64_t rows);
  void FeedForward(const BlockWeights& weights, float* hidden, std::int64_t rows);

  Backend& backend;
  const ModelSpec spec;
  const BlockRange range;
  const NumericClass numeric_class;
  const std::int64_t max_rows;
  std::vector<BlockWeights> blocks;
  DeviceVector slopes;                 // ALiBi
  std::optional<DeviceTables> tables;  // RoPE

  Staged staged_hidden;     // [rows, hidden_size]
  Staged staged_failed;     // [rows]
  ActivationBuffer normed;  // [rows, hidden_size]
  DeviceVector qkv;         // [rows, query heads | key heads | value heads]
  DeviceVector attended;    // [rows, query heads]
  ActivationBuffer attended_activations;
  DeviceVector inner;  // [rows, gate | up]
  ActivationBuffer inner_activations;
  Staged staged_positions;  // [rows]

  // Of the pass; kept to be reused.
  std::vector<std::int32_t> positions;
  std::vector<SequenceRun> runs;
  std::vector<KvCache::SequenceId> ids;
};

absl::Status BlockSpan::Impl::AllocateScratch() {
  const Arithmetic arithmetic = numeric_class.arithmetic;
  const auto activations = [&](std::int64_t k) {
    return ActivationBuffer::Allocate(backend, arithmetic, max_rows, k);
  };
  const auto floats = [&](std::int64_t stride) {
    return AllocateFloats(backend, max_rows * stride);
  };
  FALLOW_ASSIGN_OR_RETURN(normed, activations(spec.hidden_size));
  FALLOW_ASSIGN_OR_RETURN(qkv, floats(qkv_stride()));
  FALLOW_ASSIGN_OR_RETURN(attended, floats(queries()));
  FALLOW_ASSIGN_OR_RETURN(attended_activations, activations(queries()));
  FALLOW_ASSIGN_OR_RETURN(inner, floats(inner_stride()));
  FALLOW_ASSIGN_OR_RETURN(inner_activations, activations(spec.intermediate_size));
  const auto staged = [&](std::int64_t bytes) {
    return Staged::Allocate(backend, max_rows * bytes);
  };
  FALLOW_ASSIGN_OR_RETURN(staged_hidden, staged(spec.hidden_size * std::int64_t{sizeof(float)}));
  FALLOW_ASSIGN_OR_RETURN(staged_failed, staged(1));
  FALLOW_ASSIGN_OR_RETURN(staged_positions, staged(sizeof(std::int32_t)));
  if (spec.position == ModelSpec::Position::kRope) {
    tables.emplace(backend, RopeTables(spec.rope_dims, spec.rope_theta, spec.rope_scaling));
    return absl::OkStatus();
  }
  FALLOW_ASSIGN_OR_RETURN(slopes, AllocateFloats(backend, spec.num_heads));
  const std::vector<float> values = AlibiSlopes(spec.num_heads);
  slopes.Fill(backend, values);
  return absl::OkStatus();
}

absl::Status BlockSpan::Impl::Check(std::span<const PassRun> runs, const KvCache& cache,
                                    std::span<const std::uint8_t> failed) {
  if (!Same(cache.layout(), Layout())) {
    return absl::InvalidArgumentError("span: the KV cache was made for another layout");
  }
  ids.clear();
  std::int64_t rows = 0;
  for (const PassRun& run : runs) {
    FALLOW_RETURN_IF_ERROR(CheckRun(run, cache));
    if (run.position + run.rows > std::numeric_limits<std::int32_t>::max()) {
      return absl::InvalidArgumentError("span: positions beyond 2^31");
    }
    rows += run.rows;
    ids.push_back(run.sequence);
  }
  if (rows > max_rows || rows != static_cast<std::int64_t>(failed.size())) {
    return absl::InvalidArgumentError(absl::StrCat("span: a pass of ", rows,
                                                   " rows, expected at most ", max_rows, " and ",
                                                   failed.size(), " as in `failed`"));
  }
  std::sort(ids.begin(), ids.end());
  if (std::adjacent_find(ids.begin(), ids.end()) != ids.end()) {
    return absl::InvalidArgumentError("span: two runs of one sequence in a pass");
  }
  return absl::OkStatus();
}

absl::Status BlockSpan::Impl::Prepare(std::span<const PassRun> pass, KvCache& cache) {
  runs.clear();
  positions.clear();
  std::int64_t first_row = 0;
  std::int64_t end = 0;
  for (const PassRun& run : pass) {
    FALLOW_RETURN_IF_ERROR(cache.Extend(run.sequence, run.rows));
    runs.push_back({.first_row = first_row,
                    .rows = run.rows,
                    .position = run.position,
                    .pages = cache.pages(run.sequence)});
    for (std::int64_t i = 0; i < run.rows; ++i) {
      positions.push_back(static_cast<std::int32_t>(run.position + i));
    }
    first_row += run.rows;
    end = std::max(end, run.position + run.rows);
  }
  staged_positions.Send(positions.data(), first_row);
  return tables ? tables->Grow((end + kRopeStep - 1) / kRopeStep * kRopeStep) : absl::OkStatus();
}

// `blocks` are counted from the span's first.
void BlockSpan::Impl::Run(BlockRange blocks, KvCache& cache, float* hidden,
                          std::span<std::uint8_t> failed) {
  const auto rows = static_cast<std::int64_t>(failed.size());
  const std::int64_t numbers = rows * spec.hidden_size;
  float* x = staged_hidden.Send(hidden, numbers);
  std::uint8_t* bad = staged_failed.Send(failed.data(), rows);
  const Backend::Pass pass{
      .runs = runs,
      .rows = rows,
      .max_rows = max_rows,
      .key = {Number(this), blocks.begin, blocks.end, Number(cache.view(0).pool),
              Number(tables ? tables->sine() : nullptr)}};
  backend.RunPass(pass, [&](std::int64_t count) {
    for (int block = blocks.begin; block < blocks.end; ++block) {
      RunBlock(this->blocks[block], cache.view(block), x, count);
      backend.Round({.x = x,
                     .rows = count,
                     .n = spec.hidden_size,
                     .rounding = numeric_class.rounding,
                     .failed = bad});
    }
  });
  staged_hidden.Fetch(hidden, numbers);
  staged_failed.Fetch(failed.data(), rows);
}

void BlockSpan::Impl::RunBlock(const BlockWeights& weights, const KvView& kv, float* hidden,
                               std::int64_t rows) {
  Normalise(weights.attention_norm, hidden, rows);
  Attend(weights, kv, hidden, rows);
  Normalise(weights.ffn_norm, hidden, rows);
  FeedForward(weights, hidden, rows);
}

void BlockSpan::Impl::Normalise(const NormWeights& weights, const float* hidden,
                                std::int64_t rows) {
  NormArgs args = NormOf(spec, weights, hidden, rows);
  args.out = normed.Rows(rows);
  backend.Norm(args);
}

void BlockSpan::Impl::Attend(const BlockWeights& weights, const KvView& kv, float* hidden,
                             std::int64_t rows) {
  const Activations x = normed.Rows(rows);
  const std::int64_t stride = qkv_stride();
  float* query = qkv.data();
  float* key = query + queries();
  float* value = key + keys();
  const std::array<MatmulArgs, 3> products = {Product(weights.query, x, query, stride),
                                              Product(weights.key, x, key, stride),
                                              Product(weights.value, x, value, stride)};
  backend.Matmul(products);
  if (tables) {
    Rotate(query, spec.num_heads, rows);
    Rotate(key, spec.num_kv_heads, rows);
  }
  backend.Append({.key = key, .value = value, .stride = stride, .runs = runs, .kv = kv});
  backend.Attention({.query = query,
                     .query_stride = stride,
                     .out = attended.data(),
                     .out_stride = queries(),
                     .heads = spec.num_heads,
                     .scale = spec.attention_scale,
                     .window = spec.sliding_window,
                     .soft_cap = spec.logit_soft_cap,
                     .slopes = slopes.data(),
                     .runs = runs,
                     .kv = kv});
  const Activations out = attended_activations.Rows(rows);
  backend.ToActivations({.x = attended.data(),
                         .rows = rows,
                         .n = queries(),
                         .stride = queries(),
                         .column = 0,
                         .out = out});
  const MatmulArgs product = Product(weights.output, out, hidden, spec.hidden_size, /*add=*/true);
  backend.Matmul({&product, 1});
}

void BlockSpan::Impl::Rotate(float* x, int heads, std::int64_t rows) {
  backend.Rope({.x = x,
                .rows = rows,
                .stride = qkv_stride(),
                .heads = heads,
                .head_dim = spec.head_dim,
                .dims = spec.rope_dims,
                .position = staged_positions.At(positions.data()),
                .cosine = tables->cosine(),
                .sine = tables->sine()});
}

void BlockSpan::Impl::FeedForward(const BlockWeights& weights, float* hidden, std::int64_t rows) {
  const Activations x = normed.Rows(rows);
  const std::int64_t stride = inner_stride();
  float* gate = inner.data();
  float* up = spec.gated ? gate + spec.intermediate_size : nullptr;
  if (spec.gated) {
    const std::array<MatmulArgs, 2> products = {Product(weights.gate, x, gate, stride),
                                                Product(weights.up, x, up, stride)};
    backend.Matmul(products);
  } else {
    const MatmulArgs product = Product(weights.up, x, gate, stride);
    backend.Matmul({&product, 1});
  }
  const Activations out = inner_activations.Rows(rows);
  backend.Glu({.gate = gate,
               .up = up,
               .rows = rows,
               .n = spec.intermediate_size,
               .stride = stride,
               .activation = ActivationOf(spec.activation),
               .out = out});
  const MatmulArgs product = Product(weights.down, out, hidden, spec.hidden_size, /*add=*/true);
  backend.Matmul({&product, 1});
}

absl::StatusOr<std::unique_ptr<BlockSpan>> BlockSpan::Load(const Checkpoint& checkpoint,
                                                           const Family& family,
                                                           const ModelSpec& spec, BlockRange blocks,
                                                           const NumericClass& numeric_class,
                                                           std::int64_t max_rows, Backend& backend,
                                                           const PackedModel& packed) {
  FALLOW_RETURN_IF_ERROR(CheckSpan(spec, blocks, max_rows));
  auto impl = std::make_unique<Impl>(backend, spec, blocks, numeric_class, max_rows);
  const SlotReader::Source source{checkpoint, family, spec, numeric_class, backend};
  for (int block = blocks.begin; block < blocks.end; ++block) {
    const std::size_t i = block - blocks.begin;
    const SlotReader reader(source, i < packed.blocks.size() ? packed.blocks[i].get() : nullptr);
    FALLOW_ASSIGN_OR_RETURN(BlockWeights weights, BlockWeights::Read(reader, spec, block));
    impl->blocks.push_back(std::move(weights));
  }
  FALLOW_RETURN_IF_ERROR(impl->AllocateScratch());
  return std::unique_ptr<BlockSpan>(new BlockSpan(std::move(impl)));
}

BlockSpan::BlockSpan(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
BlockSpan::~BlockSpan() = default;

BlockRange BlockSpan::blocks() const { return impl_->range; }
std::int64_t BlockSpan::max_rows() const { return impl_->max_rows; }
KvLayout BlockSpan::kv_layout() const { return impl_->Layout(); }

std::int64_t BlockSpan::weight_bytes() const {
  std::int64_t bytes = 0;
  for (const BlockWeights& block : impl_->blocks) bytes += block.packed_bytes();
  return bytes;
}

absl::Status BlockSpan::Forward(std::span<const PassRun> runs, KvCache& cache, float* hidden,
                                std::span<std::uint8_t> failed, BlockRange blocks) {
  if (blocks.empty()) blocks = impl_->range;
  if (!impl_->range.Contains(blocks)) {
    return absl::InvalidArgumentError(absl::StrCat("span: blocks ", ToString(blocks),
                                                   ", expected within ", ToString(impl_->range)));
  }
  FALLOW_RETURN_IF_ERROR(impl_->Check(runs, cache, failed));
  FALLOW_RETURN_IF_ERROR(impl_->Prepare(runs, cache));
  std::fill(failed.begin(), failed.end(), 0);
  const auto rows = static_cast<std::int64_t>(failed.size());
  if (rows == 0) return absl::OkStatus();
  impl_->Run({blocks.begin - impl_->range.begin, blocks.end - impl_->range.begin}, cache, hidden,
             failed);
  return impl_->backend.Finish();
}

}  // namespace fallow
