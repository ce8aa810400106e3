// The part of a model that a server holds in memory, read from its checkpoint.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "base/worker_pool.h"
#include "fallow/block_server.h"
#include "kernels/backend.h"
#include "kernels/profile.h"
#include "model/checkpoint.h"
#include "model/spec.h"
#include "model/weight_cache.h"
#include "server/served_model.h"

namespace fallow {

class ModelHost {
 public:
  // Errors as BlockServer::Start's. The instruction set is the best there is, or FALLOW_ISA's. If
  // there is a clock, which must outlive the host, it times the kernels.
  static absl::StatusOr<std::unique_ptr<ModelHost>> Load(const BlockServer::Options& options,
                                                         KernelClock* clock = nullptr);

  // Lives as long as the host.
  const ServedModel& served() const { return served_; }
  std::int64_t weight_bytes() const;
  WorkerPool& pool() { return *pool_; }
  const char* isa() const { return isa_; }

 private:
  ModelHost() = default;
  absl::Status MakeDevices(const BlockServer::Options& options, KernelClock* clock);
  absl::Status ReadDigests(const WeightCache* cache);
  absl::Status ReadWeights(const NumericClass& numeric_class, WeightCache* cache);
  void LogPlaces() const;
  absl::Status ReserveKv(std::int64_t bytes);

  std::unique_ptr<Checkpoint> checkpoint_;
  std::optional<Family> family_;
  const char* isa_ = nullptr;
  std::shared_ptr<WorkerPool> pool_;
  std::vector<std::unique_ptr<Backend>> backends_;
  std::unique_ptr<BlockSpan> span_;
  std::unique_ptr<Head> head_;
  std::unique_ptr<KvCache> cache_;
  ServedModel served_;
};

}  // namespace fallow
