// All that a device must do to run blocks of a model.
//
// Calls enqueue and return; Finish() waits and reports. What changes from step to step (positions,
// page tables, row counts) lies in memory that the caller keeps at fixed addresses, and nothing is
// allocated within a pass, so a device may record a pass and replay it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/worker_pool.h"
#include "kernels/kernel_table.h"

namespace fallow {

// Memory on a device, zeroed when allocated, aligned to 64, freed with its last owner. On the host
// pages are touched at their first use only, so a large reservation costs nothing until then.
class Buffer {
 public:
  virtual ~Buffer() = default;
  virtual std::uint8_t* data() = 0;
  virtual std::int64_t size() const = 0;
};

// A packed weight matrix on a device.
struct Weight {
  std::shared_ptr<Buffer> memory;
  Panels panels;
};

// Not thread-safe: one pass at a time, from one thread.
class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string name() const = 0;  // "cpu avx512"

  // InvalidArgument if size < 0, ResourceExhausted if there is no memory.
  virtual absl::StatusOr<std::shared_ptr<Buffer>> Allocate(std::int64_t bytes) = 0;
  virtual absl::StatusOr<Weight> Pack(const WeightRows& rows) = 0;

  // Packed weights outside of the back end, for files. They have PackedBytes(...), which is checked
  // (InvalidArgument), and go with every back end whose layout has the same name.
  virtual std::string layout() const = 0;  // "panels-1"
  virtual absl::Status PackTo(const WeightRows& rows, std::span<std::uint8_t> out) = 0;

  // A weight that lies packed in the host's `memory`, aligned to 64, which is not written to: a
  // back end that can read it there keeps it, others copy. `packed.data` is ignored.
  virtual absl::StatusOr<Weight> Use(Panels packed, std::shared_ptr<Buffer> memory) = 0;

  virtual void ToActivations(const ActivationsArgs&) = 0;
  virtual void Round(const RoundArgs&) = 0;
  virtual void Embed(const EmbedArgs&) = 0;
  virtual void Matmul(std::span<const MatmulArgs> products) = 0;  // all of the same x
  virtual void Norm(const NormArgs&) = 0;
  virtual void Rope(const RopeArgs&) = 0;
  virtual void Append(const AppendArgs&) = 0;
  virtual void Attention(const AttentionArgs&) = 0;
  virtual void Glu(const GluArgs&) = 0;

  virtual absl::Status Finish() = 0;

  // Says that no call is expected soon, so that what waits for one need not stay awake.
  virtual void Rest() {}
};

// The host's memory and the kernels of `table` on the threads of `pool`. Both must outlive it.
std::unique_ptr<Backend> MakeHostBackend(const KernelTable& table, WorkerPool& pool);

}  // namespace fallow
