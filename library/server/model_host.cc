#include "server/model_host.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "model/digest_index.h"
#include "server/device.h"
#include "server/limits.h"

namespace fallow {
namespace {

// None if the option asks for none, or there cannot be one: then the log says so.
absl::StatusOr<std::unique_ptr<WeightCache>> OpenCache(const std::string& option) {
  FALLOW_ASSIGN_OR_RETURN(const std::string directory, CacheDirectory(option));
  if (directory.empty()) return nullptr;
  auto cache = WeightCache::Open(directory);
  if (cache.ok()) return *std::move(cache);
  Log(LogLevel::kWarning, absl::StrCat("no cache: ", std::string(cache.status().message())));
  return nullptr;
}

}  // namespace

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
  FALLOW_RETURN_IF_ERROR(host->MakeDevices(options, clock));
  FALLOW_ASSIGN_OR_RETURN(const auto cache, OpenCache(options.cache));
  FALLOW_RETURN_IF_ERROR(host->ReadDigests(cache.get()));
  FALLOW_RETURN_IF_ERROR(host->ReadWeights(numeric_class, cache.get()));
  FALLOW_RETURN_IF_ERROR(host->ReserveKv(options.kv_memory));
  return host;
}

absl::Status ModelHost::MakeDevices(const BlockServer::Options& options, KernelClock* clock) {
  FALLOW_RETURN_IF_ERROR(WorkerPool::Check(options.threads));
  const char* isa = std::getenv("FALLOW_ISA");
  const KernelTable* kernels = ChooseCpuKernels(isa);
  if (kernels == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("FALLOW_ISA = ", isa, ": not an instruction set of this build and machine"));
  }
  pool_ = WorkerPool::ForModel(options.threads);
  isa_ = kernels->name;
  FALLOW_ASSIGN_OR_RETURN(backends_, MakeBackends(options.device, *kernels, *pool_));
  for (auto& backend : backends_) {
    if (clock != nullptr) backend = MakeProfilingBackend(std::move(backend), *clock);
    served_.backends.push_back(backend.get());
  }
  return absl::OkStatus();
}

absl::Status ModelHost::ReadDigests(const WeightCache* cache) {
  const ModelSpec& spec = served_.spec;
  FALLOW_ASSIGN_OR_RETURN(served_.manifest, ManifestDigest(*checkpoint_, *family_, spec));
  DigestIndex index;
  if (cache != nullptr) {
    index = DigestIndex::Open(cache->directory(), *checkpoint_, served_.manifest, absl::Now());
  }
  for (int block = served_.blocks.begin; block < served_.blocks.end; ++block) {
    FALLOW_ASSIGN_OR_RETURN(const Digest digest, index.Get(absl::StrCat("block ", block), [&] {
      return BlockDigest(*checkpoint_, *family_, spec, block);
    }));
    served_.block_digests.push_back(digest);
  }
  if (served_.embeds || served_.samples) {
    FALLOW_ASSIGN_OR_RETURN(served_.ends_digest, index.Get("ends", [&] {
      return EndsDigest(*checkpoint_, *family_, spec);
    }));
  }
  index.Save();
  return absl::OkStatus();
}

absl::Status ModelHost::ReadWeights(const NumericClass& numeric_class, WeightCache* cache) {
  PackedModel packed;
  if (cache != nullptr) {
    packed =
        cache->Get({.source = {*checkpoint_, *family_, served_.spec, numeric_class, *backends_[0]},
                    .manifest = served_.manifest,
                    .blocks = served_.block_digests,
                    .first_block = served_.blocks.begin,
                    .embedding = served_.embeds,
                    .head = served_.samples,
                    .ends = served_.ends_digest.value_or(Digest{})});
  }
  std::vector<SpanDevice> devices;
  for (Backend* backend : served_.backends) {
    devices.push_back({backend, backend->memory_bytes() / 8 * 5});  // KV and scratch have the rest
  }
  FALLOW_ASSIGN_OR_RETURN(
      span_, BlockSpan::Load(*checkpoint_, *family_, served_.spec, served_.blocks, numeric_class,
                             kMaxPassRows, devices, packed));
  served_.span = span_.get();
  LogPlaces();
  if (!served_.embeds && !served_.samples) return absl::OkStatus();
  const Head::Parts parts{.embed = served_.embeds, .logits = served_.samples};
  FALLOW_ASSIGN_OR_RETURN(head_, Head::Load(*checkpoint_, *family_, served_.spec, numeric_class,
                                            parts, kMaxPassRows, *backends_[0], packed));
  served_.head = head_.get();
  return absl::OkStatus();
}

void ModelHost::LogPlaces() const {
  int begin = served_.blocks.begin;
  const std::vector<KvPlace> places = span_->kv_places();
  for (const KvPlace& place : places) {
    const BlockRange blocks{begin, begin + place.layout.blocks};
    if (places.size() > 1) {
      Log(LogLevel::kInfo,
          absl::StrCat("device: blocks ", ToString(blocks), " on ", place.backend->name()));
    }
    begin = blocks.end;
  }
}

absl::Status ModelHost::ReserveKv(std::int64_t bytes) {
  if (bytes < 0) return absl::InvalidArgumentError(absl::StrCat("kv_memory = ", bytes));
  const std::vector<KvPlace> places = span_->kv_places();
  std::int64_t pages = bytes / span_->kv_layout().page_bytes();
  if (bytes == 0) {
    pages = std::numeric_limits<std::int32_t>::max();
    for (const KvPlace& place : places) {
      pages = std::min(pages, place.backend->memory_bytes() / 4 / place.layout.page_bytes());
    }
  }
  if (pages < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("kv_memory = ", bytes, ", expected room for a page of ",
                     span_->kv_layout().page_bytes(), " bytes (", kPagePositions, " positions)"));
  }
  FALLOW_ASSIGN_OR_RETURN(cache_, KvCache::Create(places, pages));
  served_.cache = cache_.get();
  return absl::OkStatus();
}

std::int64_t ModelHost::weight_bytes() const {
  return span_->weight_bytes() + (head_ ? head_->weight_bytes() : 0);
}

}  // namespace fallow
