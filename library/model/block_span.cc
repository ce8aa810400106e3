#include "model/block_span.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "model/span_part.h"

namespace fallow {
namespace {

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

struct BlockSpan::Impl {
  KvLayout Layout() const;
  absl::Status Read(const SlotReader::Source& source, const SpanDevice& device, bool last,
                    const PackedModel& packed);
  absl::Status Check(std::span<const PassRun> runs, const KvCache& cache,
                     std::span<const std::uint8_t> failed);
  absl::StatusOr<SpanPart::Pass> Prepare(std::span<const PassRun> pass, KvCache& cache);

  const BlockRange range;
  const std::int64_t max_rows;
  std::vector<std::unique_ptr<SpanPart>> parts;
  int blocks_read = 0;

  // Of the pass; kept to be reused.
  std::vector<std::int32_t> positions;
  std::vector<SequenceRun> runs;
  std::vector<KvCache::SequenceId> ids;
};

KvLayout BlockSpan::Impl::Layout() const {
  KvLayout layout = parts.front()->kv_place().layout;
  layout.blocks = range.size();
  return layout;
}

// As many blocks as the device has room for; the last takes what is left.
absl::Status BlockSpan::Impl::Read(const SlotReader::Source& source, const SpanDevice& device,
                                   bool last, const PackedModel& packed) {
  auto created =
      SpanPart::Create(source.spec, source.numeric_class, max_rows, blocks_read, source.backend);
  if (absl::IsResourceExhausted(created.status()) && !last) return absl::OkStatus();
  FALLOW_ASSIGN_OR_RETURN(auto part, std::move(created));
  std::int64_t largest = 0;
  while (blocks_read < range.size()) {
    const std::int64_t before = part->weight_bytes();
    if (!last && before + largest > device.weight_bytes) break;
    const auto i = static_cast<std::size_t>(blocks_read);
    const SlotReader reader(source, i < packed.blocks.size() ? packed.blocks[i].get() : nullptr);
    const absl::Status read = part->Read(reader, range.begin + blocks_read);
    if (absl::IsResourceExhausted(read) && !last) break;
    FALLOW_RETURN_IF_ERROR(read);
    largest = std::max(largest, part->weight_bytes() - before);
    ++blocks_read;
  }
  if (!part->blocks().empty()) parts.push_back(std::move(part));
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

absl::StatusOr<SpanPart::Pass> BlockSpan::Impl::Prepare(std::span<const PassRun> pass,
                                                        KvCache& cache) {
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
  return SpanPart::Pass{.runs = runs, .positions = positions, .end = end};
}

absl::StatusOr<std::unique_ptr<BlockSpan>> BlockSpan::Load(
    const Checkpoint& checkpoint, const Family& family, const ModelSpec& spec, BlockRange blocks,
    const NumericClass& numeric_class, std::int64_t max_rows, std::span<const SpanDevice> devices,
    const PackedModel& packed) {
  FALLOW_RETURN_IF_ERROR(CheckSpan(spec, blocks, max_rows));
  auto impl = std::unique_ptr<Impl>(new Impl{.range = blocks, .max_rows = max_rows});
  for (const SpanDevice& device : devices) {
    if (impl->blocks_read == blocks.size()) break;
    const bool last = &device == &devices.back();
    FALLOW_RETURN_IF_ERROR(impl->Read({checkpoint, family, spec, numeric_class, *device.backend},
                                      device, last, packed));
  }
  return std::unique_ptr<BlockSpan>(new BlockSpan(std::move(impl)));
}

absl::StatusOr<std::unique_ptr<BlockSpan>> BlockSpan::Load(const Checkpoint& checkpoint,
                                                           const Family& family,
                                                           const ModelSpec& spec, BlockRange blocks,
                                                           const NumericClass& numeric_class,
                                                           std::int64_t max_rows, Backend& backend,
                                                           const PackedModel& packed) {
  const SpanDevice device{.backend = &backend};
  return Load(checkpoint, family, spec, blocks, numeric_class, max_rows, {&device, 1}, packed);
}

BlockSpan::BlockSpan(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
BlockSpan::~BlockSpan() = default;

BlockRange BlockSpan::blocks() const { return impl_->range; }
std::int64_t BlockSpan::max_rows() const { return impl_->max_rows; }
KvLayout BlockSpan::kv_layout() const { return impl_->Layout(); }

std::vector<KvPlace> BlockSpan::kv_places() const {
  std::vector<KvPlace> places;
  for (const auto& part : impl_->parts) places.push_back(part->kv_place());
  return places;
}

std::int64_t BlockSpan::weight_bytes() const {
  std::int64_t bytes = 0;
  for (const auto& part : impl_->parts) bytes += part->weight_bytes();
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
  FALLOW_ASSIGN_OR_RETURN(const SpanPart::Pass pass, impl_->Prepare(runs, cache));
  std::fill(failed.begin(), failed.end(), 0);
  if (failed.empty()) return absl::OkStatus();
  const BlockRange wanted{blocks.begin - impl_->range.begin, blocks.end - impl_->range.begin};
  for (const auto& part : impl_->parts) {
    const BlockRange here{std::max(wanted.begin, part->blocks().begin),
                          std::min(wanted.end, part->blocks().end)};
    if (here.begin >= here.end) continue;
    FALLOW_RETURN_IF_ERROR(part->Run(pass, here, cache, hidden, failed));
  }
  return absl::OkStatus();
}

}  // namespace fallow
