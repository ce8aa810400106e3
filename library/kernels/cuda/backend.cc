#include "kernels/cuda/backend.h"

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/buffer_part.h"
#include "kernels/cuda/attention_split.h"
#include "kernels/cuda/device_pass.h"
#include "kernels/cuda/staging.h"
#include "kernels/exact_math.h"

namespace fallow {
namespace {

using cuda::Cublas;
using cuda::DevicePass;
using cuda::Graph;
using cuda::GrowingBuffer;
using cuda::Runtime;
using cuda::Staging;

class DeviceBuffer : public Buffer {
 public:
  DeviceBuffer(std::shared_ptr<Runtime> runtime, std::uint8_t* memory, std::int64_t bytes)
      : runtime_(std::move(runtime)), memory_(memory), bytes_(bytes) {}
  ~DeviceBuffer() override { runtime_->Free(memory_); }

  std::uint8_t* data() override { return memory_; }
  std::int64_t size() const override { return bytes_; }

 private:
  const std::shared_ptr<Runtime> runtime_;
  std::uint8_t* const memory_;
  const std::int64_t bytes_;
};

class CudaBackend : public Backend {
 public:
  CudaBackend(std::unique_ptr<Runtime> runtime, WorkerPool& pool)
      : runtime_(std::move(runtime)),
        host_(MakeHostBackend(*ChooseCpuKernels(nullptr), pool)),
        staging_(*runtime_),
        pass_(staging_, [this](std::int64_t bytes) { return AllocateWhole(bytes); }),
        scratch_([this](std::int64_t bytes) { return AllocateWhole(bytes); }) {}

  std::string name() const override { return runtime_->name(); }

  absl::StatusOr<std::shared_ptr<Buffer>> Allocate(std::int64_t bytes) override;
  std::int64_t memory_bytes() const override { return runtime_->memory_bytes(); }
  bool unified() const override { return false; }
  void ToDevice(std::uint8_t* to, const void* from, std::int64_t bytes) override {
    Keep(staging_.ToDevice(to, from, bytes));
  }
  void ToHost(void* to, const std::uint8_t* from, std::int64_t bytes) override {
    Keep(staging_.ToHost(to, from, bytes));
  }
  void Copy(std::uint8_t* to, const std::uint8_t* from, std::int64_t bytes) override {
    runtime_->Copy(to, from, bytes);
  }
  void Clear(std::uint8_t* at, std::int64_t bytes) override { runtime_->Clear(at, bytes); }

  // Weights are packed on the host.
  std::string layout() const override { return host_->layout(); }
  absl::Status PackTo(const WeightRows& rows, std::span<std::uint8_t> out) override {
    return host_->PackTo(rows, out);
  }
  absl::StatusOr<Weight> Pack(const WeightRows& rows) override {
    FALLOW_ASSIGN_OR_RETURN(const Weight packed, host_->Pack(rows));
    return Use(packed.panels, packed.memory);
  }
  absl::StatusOr<Weight> Use(Panels packed, std::shared_ptr<Buffer> memory) override;

  void ToActivations(const ActivationsArgs& args) override {
    Launched(launches().activations(args, runtime_->stream()));
  }
  void Round(const RoundArgs& args) override {
    Launched(launches().round(args, runtime_->stream()));
  }
  void Embed(const EmbedArgs& args) override {
    Launched(launches().embed(args, runtime_->stream()));
  }
  void Matmul(std::span<const MatmulArgs> products) override {
    for (const MatmulArgs& args : products) Multiply(args);
  }
  void Norm(const NormArgs& args) override { Launched(launches().norm(args, runtime_->stream())); }
  void Rope(const RopeArgs& args) override { Launched(launches().rope(args, runtime_->stream())); }
  void Append(const AppendArgs& args) override {
    const DeviceRows rows{.rows = pass_.rows(), .count = pass_.count()};
    Launched(launches().append(args, rows, runtime_->stream()));
  }
  void Attention(const AttentionArgs& args) override;
  void Glu(const GluArgs& args) override { Launched(launches().glu(args, runtime_->stream())); }

  void Shortlist(const ShortlistArgs& args) override {
    Launched(launches().shortlist(args, runtime_->stream()));
  }

  void RunPass(const Pass& pass, absl::FunctionRef<void(std::int64_t rows)> enqueue) override;
  absl::Status Finish() override {
    Keep(staging_.Finish());
    return std::exchange(failed_, absl::OkStatus());
  }

 private:
  // Of block, sequences and memory as the caller says, then rows and chunks.
  using PassKey = std::array<std::int64_t, std::tuple_size_v<decltype(Pass::key)> + 2>;
  struct Recorded {
    bool ran = false;  // unrecorded, once: so that what it needs is allocated
    std::unique_ptr<Graph> graph;
  };

  // Passes of so few rows are recorded, since enqueueing them takes longer than computing.
  static constexpr std::int64_t kRecordedRows = 16;
  static constexpr std::size_t kMostGraphs = 256;
  static constexpr std::int64_t kChunkBytes = 32 << 20;  // that small buffers are cut from
  static constexpr std::int64_t kAlignment = 256;
  static constexpr std::int64_t kMostScratch = 64 << 20;

  const cuda::Launches& launches() const { return runtime_->launches(); }
  void Launched(int error) { runtime_->Note(error); }
  void Keep(const absl::Status& status) { failed_.Update(status); }
  // What says whether memory was replaced.
  bool Keep(const absl::StatusOr<bool>& moved) {
    Keep(moved.status());
    if (moved.ok() && *moved) graphs_stale_ = true;
    return moved.ok();
  }
  absl::StatusOr<std::shared_ptr<Buffer>> AllocateWhole(std::int64_t bytes);
  void Multiply(const MatmulArgs& args);

  const std::shared_ptr<Runtime> runtime_;
  const std::unique_ptr<Backend> host_;
  std::shared_ptr<Buffer> chunk_;  // the last
  std::int64_t chunk_used_ = 0;
  absl::Status failed_;  // what Finish has yet to report
  Staging staging_;
  DevicePass pass_;
  int pass_chunks_ = 0;  // of 128 positions, for which the pass is enqueued
  GrowingBuffer scratch_;
  std::map<PassKey, Recorded> graphs_;
  bool graphs_stale_ = false;
};

absl::StatusOr<std::shared_ptr<Buffer>> CudaBackend::AllocateWhole(std::int64_t bytes) {
  std::uint8_t* memory = runtime_->Allocate(bytes);
  if (memory == nullptr) {
    return absl::ResourceExhaustedError(absl::StrCat(name(), ": no memory for ", bytes, " bytes"));
  }
  return std::make_shared<DeviceBuffer>(runtime_, memory, bytes);
}

absl::StatusOr<std::shared_ptr<Buffer>> CudaBackend::Allocate(std::int64_t bytes) {
  if (bytes < 0) {
    return absl::InvalidArgumentError(absl::StrCat(name(), ": cannot allocate ", bytes, " bytes"));
  }
  if (bytes > kChunkBytes / 4) return AllocateWhole(bytes);
  if (!chunk_ || chunk_->size() - chunk_used_ < bytes) {
    FALLOW_ASSIGN_OR_RETURN(chunk_, AllocateWhole(kChunkBytes));
    chunk_used_ = 0;
  }
  auto part = std::make_shared<BufferPart>(chunk_, chunk_used_, bytes);
  chunk_used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  return part;
}

absl::StatusOr<Weight> CudaBackend::Use(Panels packed, std::shared_ptr<Buffer> memory) {
  FALLOW_ASSIGN_OR_RETURN(const Weight checked, host_->Use(packed, std::move(memory)));
  Weight weight{.memory = nullptr, .panels = checked.panels};
  FALLOW_ASSIGN_OR_RETURN(weight.memory, Allocate(checked.memory->size()));
  weight.panels.data = weight.memory->data();
  FALLOW_RETURN_IF_ERROR(
      staging_.ToDevice(weight.memory->data(), checked.memory->data(), checked.memory->size()));
  return weight;
}

void CudaBackend::Multiply(const MatmulArgs& args) {
  const bool many = args.x.rows > kRecordedRows;
  const Cublas* cublas = many && Cublas::Takes(args) ? runtime_->cublas() : nullptr;
  if (cublas) return Keep(cublas->Multiply(args));
  Launched(launches().matmul(args, runtime_->stream()));
}

void CudaBackend::Attention(const AttentionArgs& args) {
  const int chunks = cuda::ChunksSeen(pass_chunks_, args.window);
  const int group = args.heads / args.kv.layout.kv_heads;
  const std::int64_t row_bytes = std::int64_t{args.heads} * chunks * (args.kv.layout.head_dim + 2) *
                                 std::int64_t{sizeof(float)};
  DeviceRows rows{.rows = pass_.rows(), .count = pass_.count(), .chunks = chunks};
  const std::int64_t tiles = rows.count * args.kv.layout.kv_heads * cuda::TilesOf(group);
  if (!cuda::SharesChunks(tiles, chunks, runtime_->multiprocessors())) {
    return Launched(launches().attention(args, rows, runtime_->stream()));
  }
  const std::int64_t at_once = std::clamp(kMostScratch / row_bytes, std::int64_t{1}, rows.count);
  if (!Keep(scratch_.Reserve(at_once * row_bytes))) return;
  rows.scratch = reinterpret_cast<float*>(scratch_.data());
  for (std::int64_t first = 0; first < pass_.count(); first += at_once) {
    rows.rows = pass_.rows() + first;
    rows.count = std::min(at_once, pass_.count() - first);
    Launched(launches().attention(args, rows, runtime_->stream()));
  }
}

void CudaBackend::RunPass(const Pass& pass, absl::FunctionRef<void(std::int64_t rows)> enqueue) {
  const bool few = pass.rows <= std::min(kRecordedRows, pass.max_rows);
  auto rows = static_cast<std::uint64_t>(pass.rows);
  if (few) rows = std::min(std::bit_ceil(rows), static_cast<std::uint64_t>(pass.max_rows));
  const auto count = static_cast<std::int64_t>(rows);
  if (!Keep(pass_.Send(pass.runs, count))) return;
  auto chunks = static_cast<unsigned>((pass_.positions() + exact::kChunk - 1) / exact::kChunk);
  if (few) chunks = std::bit_ceil(chunks);
  pass_chunks_ = static_cast<int>(chunks);
  if (!few) return enqueue(count);

  if (std::exchange(graphs_stale_, false) || graphs_.size() > kMostGraphs) graphs_.clear();
  PassKey key{};
  std::copy(pass.key.begin(), pass.key.end(), key.begin());
  key[pass.key.size()] = count;
  key[pass.key.size() + 1] = pass_chunks_;
  Recorded& recorded = graphs_[key];
  if (!std::exchange(recorded.ran, true)) return enqueue(count);
  if (!recorded.graph) {
    runtime_->BeginRecording();
    enqueue(count);
    recorded.graph = runtime_->EndRecording();
    if (!recorded.graph) return;  // Finish() says why
  }
  runtime_->Replay(*recorded.graph);
}

}  // namespace

std::unique_ptr<Backend> MakeCudaBackend(std::unique_ptr<cuda::Runtime> runtime, WorkerPool& pool) {
  return std::make_unique<CudaBackend>(std::move(runtime), pool);
}

}  // namespace fallow
