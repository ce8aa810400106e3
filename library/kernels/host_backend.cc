#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/float_mode.h"
#include "base/platform/memory.h"
#include "base/status_macros.h"
#include "kernels/backend.h"
#include "kernels/buffer_part.h"

namespace fallow {
namespace {

class HostBuffer : public Buffer {
 public:
  HostBuffer(std::uint8_t* memory, std::int64_t bytes) : memory_(memory), bytes_(bytes) {}
  ~HostBuffer() override {
    if (memory_) ReleaseMemory(memory_, bytes_);
  }

  std::uint8_t* data() override { return memory_; }
  std::int64_t size() const override { return bytes_; }

 private:
  std::uint8_t* memory_;  // null if empty
  std::int64_t bytes_;
};

// Whether the vectors have as many elements as rows, cols and type say.
bool IsWhole(const WeightRows& weight) {
  if (weight.rows < 0 || weight.cols < 0) return false;
  if (weight.cols > 0 && weight.rows > std::numeric_limits<std::int64_t>::max() / 64 / weight.cols)
    return false;
  const auto count = static_cast<std::size_t>(weight.rows * weight.cols);
  if (weight.type == WeightType::kFp32) return weight.values.size() == count;
  if (weight.type == WeightType::kBf16) return weight.bf16.size() == count;
  const std::size_t minima = weight.type == WeightType::kQ4_1 ? count / kGroup : 0;
  return weight.cols % kGroup == 0 && weight.codes.size() == count &&
         weight.scale.size() == count / kGroup && weight.minimum.size() == minima;
}

// Number of panels of a product that begin before byte `offset` of it.
std::int64_t PanelsBefore(const Panels& weight, std::int64_t offset) {
  const std::int64_t bytes = weight.panel_bytes();
  if (offset <= 0 || bytes == 0) return 0;
  return std::min(weight.count(), (offset + bytes - 1) / bytes);
}

class HostBackend : public Backend {
 public:
  HostBackend(const KernelTable& table, WorkerPool& pool) : table_(table), pool_(pool) {}

  std::string name() const override { return absl::StrCat("cpu ", table_.name); }
  std::string layout() const override { return kPanelLayout; }
  std::int64_t memory_bytes() const override { return UsableMemory(); }
  bool unified() const override { return true; }

  void ToDevice(std::uint8_t* to, const void* from, std::int64_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void ToHost(void* to, const std::uint8_t* from, std::int64_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void Copy(std::uint8_t* to, const std::uint8_t* from, std::int64_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void Clear(std::uint8_t* at, std::int64_t bytes) override { std::memset(at, 0, bytes); }

  absl::StatusOr<std::shared_ptr<Buffer>> Allocate(std::int64_t bytes) override {
    if (bytes < 0) {
      return absl::InvalidArgumentError(absl::StrCat("backend: cannot allocate ", bytes, " bytes"));
    }
    std::uint8_t* memory = bytes > 0 ? ReserveMemory(bytes) : nullptr;
    if (bytes > 0 && !memory) {
      return absl::ResourceExhaustedError(absl::StrCat("backend: no memory for ", bytes, " bytes"));
    }
    return std::make_shared<HostBuffer>(memory, bytes);
  }

  absl::StatusOr<Weight> Pack(const WeightRows& rows) override {
    FALLOW_RETURN_IF_ERROR(CheckWhole(rows));
    Weight weight;
    weight.panels = {.type = rows.type, .rows = rows.rows, .cols = rows.cols};
    FALLOW_ASSIGN_OR_RETURN(weight.memory, AllocateWeight(weight.panels.bytes()));
    weight.panels.data = weight.memory->data();
    PackAll(rows, weight.memory->data());
    return weight;
  }

  absl::Status PackTo(const WeightRows& rows, std::span<std::uint8_t> out) override {
    FALLOW_RETURN_IF_ERROR(CheckWhole(rows));
    FALLOW_RETURN_IF_ERROR(
        CheckBytes(PackedBytes(rows.type, rows.rows, rows.cols), std::ssize(out)));
    PackAll(rows, out.data());
    return absl::OkStatus();
  }

  absl::StatusOr<Weight> Use(Panels packed, std::shared_ptr<Buffer> memory) override {
    FALLOW_RETURN_IF_ERROR(CheckBytes(packed.bytes(), memory->size()));
    packed.data = memory->data();
    return Weight{std::move(memory), packed};
  }

  void ToActivations(const ActivationsArgs& args) override {
    EachRow(args.rows, [&](Range rows) { table_.activations(args, rows); });
  }
  void Round(const RoundArgs& args) override {
    EachRow(args.rows, [&](Range rows) { table_.round(args, rows); });
  }
  void Embed(const EmbedArgs& args) override {
    EachRow(args.rows, [&](Range rows) { table_.embed(args, rows); });
  }
  void Norm(const NormArgs& args) override {
    EachRow(args.rows, [&](Range rows) { table_.norm(args, rows); });
  }
  void Rope(const RopeArgs& args) override {
    EachRow(args.rows, [&](Range rows) { table_.rope(args, rows); });
  }
  void Glu(const GluArgs& args) override {
    EachRow(args.rows, [&](Range rows) { table_.glu(args, rows); });
  }
  void Shortlist(const ShortlistArgs& args) override {
    EachRow(args.rows, [&](Range rows) { table_.shortlist(args, rows); });
  }
  void Append(const AppendArgs& args) override {
    std::int64_t rows = 0;
    for (const SequenceRun& run : args.runs) rows += run.rows;
    EachRow(rows, [&](Range part) { table_.append(args, part); });
  }

  // One parallel call for all products. Each thread reads a range of its own of the weights' bytes,
  // the same in every call.
  void Matmul(std::span<const MatmulArgs> products) override {
    std::int64_t total = 0;
    for (const MatmulArgs& product : products) total += product.weight.bytes();
    pool_.Run([&](int worker) {
      const Range bytes = PartOf(total, worker, pool_.size());
      std::int64_t first = 0;
      for (const MatmulArgs& product : products) {
        const Range panels = {PanelsBefore(product.weight, bytes.begin - first),
                              PanelsBefore(product.weight, bytes.end - first)};
        if (panels.size() > 0) table_.matmul(product, panels);
        first += product.weight.bytes();
      }
    });
  }

  // Whoever is free takes the next item, the dearest first.
  void Attention(const AttentionArgs& args) override {
    const std::int64_t items = AttentionItems(args);
    if (items <= 1 || SeenBytes(args) <= kFewBytes) {
      return Alone([&] { table_.attention(args, {0, items}); });
    }
    std::atomic<std::int64_t> left = items;
    pool_.Run([&](int) {
      for (std::int64_t end = left.fetch_sub(1); end > 0; end = left.fetch_sub(1)) {
        table_.attention(args, {end - 1, end});
      }
    });
  }

  void RunPass(const Pass& pass, absl::FunctionRef<void(std::int64_t rows)> enqueue) override {
    enqueue(pass.rows);
  }

  absl::Status Finish() override { return absl::OkStatus(); }
  void Rest() override { pool_.Rest(); }

 private:
  // So little work that handing a part of it to another core would take longer.
  static constexpr std::int64_t kFewRows = 2;
  static constexpr std::int64_t kFewBytes = 32 << 10;  // of keys and values

  static constexpr std::int64_t kChunkBytes = 64 << 20;
  static constexpr std::int64_t kWeightAlignment = 4096;

  // Weights lie one behind the other in chunks of large pages: most are smaller than such a page.
  absl::StatusOr<std::shared_ptr<Buffer>> AllocateWeight(std::int64_t bytes) {
    if (!chunk_ || chunk_->size() - chunk_used_ < bytes) {
      FALLOW_ASSIGN_OR_RETURN(chunk_, Allocate(std::max(bytes, kChunkBytes)));
      PreferLargePages(chunk_->data(), chunk_->size());
      chunk_used_ = 0;
    }
    auto part = std::make_shared<BufferPart>(chunk_, chunk_used_, bytes);
    chunk_used_ += (bytes + kWeightAlignment - 1) / kWeightAlignment * kWeightAlignment;
    return part;
  }

  static absl::Status CheckWhole(const WeightRows& rows) {
    if (IsWhole(rows)) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("backend: a ", std::string(Name(rows.type)),
                                                   " weight is not ", rows.rows, " x ", rows.cols));
  }

  static absl::Status CheckBytes(std::int64_t expected, std::int64_t bytes) {
    if (bytes == expected) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("backend: ", bytes, " bytes for a packed weight, expected ", expected));
  }

  // Split as Matmul splits: a thread then finds its panels in the memory nearest to it.
  void PackAll(const WeightRows& rows, std::uint8_t* out) {
    const std::int64_t count = Panels{.type = rows.type, .rows = rows.rows}.count();
    pool_.Run([&](int worker) { PackPanels(rows, PartOf(count, worker, pool_.size()), out); });
  }

  // Of keys and values, for each row those that it sees.
  static std::int64_t SeenBytes(const AttentionArgs& args) {
    std::int64_t positions = 0;
    for (const SequenceRun& run : args.runs) {
      for (std::int64_t i = 0; i < run.rows; ++i) {
        positions += VisiblePositions(run.position + i, args.window).size();
      }
    }
    return positions * args.kv.layout.block_bytes() / kPagePositions;
  }

  template <typename Work>
  static void Alone(Work work) {
    const DefaultFloatMode mode;
    work();
  }

  template <typename Work>
  void EachRow(std::int64_t rows, Work work) {
    if (rows <= kFewRows) return Alone([&] { work(Range{0, rows}); });
    pool_.Run([&](int worker) {
      const Range part = PartOf(rows, worker, pool_.size());
      if (part.size() > 0) work(part);
    });
  }

  const KernelTable& table_;
  WorkerPool& pool_;
  std::shared_ptr<Buffer> chunk_;  // the last
  std::int64_t chunk_used_ = 0;
};

}  // namespace

std::unique_ptr<Backend> MakeHostBackend(const KernelTable& table, WorkerPool& pool) {
  return std::make_unique<HostBackend>(table, pool);
}

}  // namespace fallow
