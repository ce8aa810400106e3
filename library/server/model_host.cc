#include "server/model_host.h"

#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/platform/memory.h"
#include "base/status_macros.h"
#include "server/limits.h"

namespace fallow {

absl::StatusOr<std::unique_ptr<ModelHost>> ModelHost::Load(const BlockServer::Options& options,
                                                           KernelClock* clock) {
  auto host = std::unique_ptr<ModelHost>(new ModelHost());
  FALLOW_ASSIGN_OR_RETURN(host->checkpoint_, Checkpoint::Open(options.checkpoint));
  FALLOW_ASSIGN_OR_RETURN(Family family, Family::For(*host->checkpoint_));
  host->family_ = std::move(family);
  ServedModel& served = host->served_;
  FALLOW_ASSIGN_OR_RETURN(served.spec, host->family_->ReadSpec(*host->checkpoint_));
  const BlockRange all{0, served.spec.num_blocks};
  served.blocks = options.blocks.empty() ? all : options.blocks;
  if (!all.Contains(served.blocks)) {
    return absl::InvalidArgumentError(
        absl::StrCat("blocks ", ToString(served.blocks), ", the model has ", ToString(all)));
  }
  served.embeds = served.blocks.begin == all.begin;
  served.samples = served.blocks.end == all.end;
  FALLOW_ASSIGN_OR_RETURN(
      const NumericClass numeric_class,
      NumericClass::Choose(options.numeric_class, options.weights, *host->checkpoint_));
  served.numeric_class = numeric_class.ToString();
  FALLOW_RETURN_IF_ERROR(host->MakeBackend(options.threads, clock));
  FALLOW_RETURN_IF_ERROR(host->ReadDigests());
  FALLOW_RETURN_IF_ERROR(host->ReadWeights(numeric_class));
  FALLOW_RETURN_IF_ERROR(host->ReserveKv(options.kv_memory));
  return host;
}

absl::Status ModelHost::MakeBackend(int threads, KernelClock* clock) {
  FALLOW_RETURN_IF_ERROR(WorkerPool::Check(threads));
  const char* isa = std::getenv("FALLOW_ISA");
  const KernelTable* kernels = ChooseCpuKernels(isa);
  if (kernels == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("FALLOW_ISA = ", isa, ": not an instruction set of this build and machine"));
  }
  pool_ = WorkerPool::ForModel(threads);
  isa_ = kernels->name;
  backend_ = MakeHostBackend(*kernels, *pool_);
  if (clock != nullptr) backend_ = MakeProfilingBackend(std::move(backend_), *clock);
  served_.backend = backend_.get();
  return absl::OkStatus();
}

absl::Status ModelHost::ReadDigests() {
  const ModelSpec& spec = served_.spec;
  FALLOW_ASSIGN_OR_RETURN(served_.manifest, ManifestDigest(*checkpoint_, *family_, spec));
  for (int block = served_.blocks.begin; block < served_.blocks.end; ++block) {
    FALLOW_ASSIGN_OR_RETURN(const Digest digest, BlockDigest(*checkpoint_, *family_, spec, block));
    served_.block_digests.push_back(digest);
  }
  if (!served_.embeds && !served_.samples) return absl::OkStatus();
  FALLOW_ASSIGN_OR_RETURN(served_.ends_digest, EndsDigest(*checkpoint_, *family_, spec));
  return absl::OkStatus();
}

absl::Status ModelHost::ReadWeights(const NumericClass& numeric_class) {
  FALLOW_ASSIGN_OR_RETURN(
      span_, BlockSpan::Load(*checkpoint_, *family_, served_.spec, served_.blocks, numeric_class,
                             kMaxPassRows, *backend_));
  served_.span = span_.get();
  if (!served_.embeds && !served_.samples) return absl::OkStatus();
  const Head::Parts parts{.embed = served_.embeds, .logits = served_.samples};
  FALLOW_ASSIGN_OR_RETURN(head_, Head::Load(*checkpoint_, *family_, served_.spec, numeric_class,
                                            parts, kMaxPassRows, *backend_));
  served_.head = head_.get();
  return absl::OkStatus();
}

absl::Status ModelHost::ReserveKv(std::int64_t bytes) {
  if (bytes < 0) return absl::InvalidArgumentError(absl::StrCat("kv_memory = ", bytes));
  if (bytes == 0) bytes = UsableMemory() / 4;
  FALLOW_ASSIGN_OR_RETURN(cache_, KvCache::Create(span_->kv_layout(), bytes, *backend_));
  served_.cache = cache_.get();
  return absl::OkStatus();
}

std::int64_t ModelHost::weight_bytes() const {
  return span_->weight_bytes() + (head_ ? head_->weight_bytes() : 0);
}

}  // namespace fallow
