// All that a device must do to run blocks of a model.
//
// Calls enqueue and return; Finish() waits and reports. Addresses in their arguments are of memory
// that Allocate() gave, and what changes from step to step (hidden states, positions, page tables)
// is copied there before, so a device may record a pass and replay it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/worker_pool.h"
#include "kernels/kernel_table.h"

namespace fallow {

// Memory on a device, zeroed when allocated, aligned to 64, freed with its last owner. On the host
// pages are touched at their first use only, so a large reservation costs nothing until then.
// Elsewhere data() is no address of the host's.
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

  virtual std::string name() const = 0;           // "cpu avx512"
  virtual std::int64_t memory_bytes() const = 0;  // that its device had free at the start

  // InvalidArgument if size < 0, ResourceExhausted if there is no memory.
  virtual absl::StatusOr<std::shared_ptr<Buffer>> Allocate(std::int64_t bytes) = 0;

  // Whether the device's memory is the host's: then any address of the host's will do in arguments,
  // and nothing need be copied.
  virtual bool unified() const = 0;

  // Enqueued like calls. `from` of the host's may change at once; `to` of the host's is written by
  // Finish(). Of ToDevice and ToHost, one side lies in a Buffer; of Copy and Clear all.
  virtual void ToDevice(std::uint8_t* to, const void* from, std::int64_t bytes) = 0;
  virtual void ToHost(void* to, const std::uint8_t* from, std::int64_t bytes) = 0;
  virtual void Copy(std::uint8_t* to, const std::uint8_t* from, std::int64_t bytes) = 0;
  virtual void Clear(std::uint8_t* at, std::int64_t bytes) = 0;

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
  virtual void Shortlist(const ShortlistArgs&) = 0;

  // The calls of a pass over `runs`: `enqueue` makes them, for as many rows as it is told, which
  // are those of the runs and perhaps more, up to max_rows; what comes of these is dropped. Passes
  // of equal `key` and equally many rows differ only in what lies in buffers, so a device may do
  // again what it did.
  struct Pass {
    std::span<const SequenceRun> runs;
    std::int64_t rows = 0;
    std::int64_t max_rows = 0;
    std::array<std::int64_t, 5> key = {};
  };
  virtual void RunPass(const Pass& pass, absl::FunctionRef<void(std::int64_t rows)> enqueue) = 0;

  // ResourceExhausted if memory was lacking, Internal if the device failed: then for good.
  virtual absl::Status Finish() = 0;

  // Says that no call is expected soon, so that what waits for one need not stay awake.
  virtual void Rest() {}
};

// The host's memory and the kernels of `table` on the threads of `pool`. Both must outlive it.
std::unique_ptr<Backend> MakeHostBackend(const KernelTable& table, WorkerPool& pool);

}  // namespace fallow
