// The CUDA kernels in the emulator, by the functions of a KernelTable. What is wrong with one is
// told by emulator/findings.h, not by its results.
#pragma once

#include "kernels/activations.h"
#include "kernels/attention/pass_rows.h"
#include "kernels/cuda/emulator/memory.h"
#include "kernels/kernel_table.h"

namespace fallow {

// "cuda-emulated"
extern const KernelTable kEmulatedCudaKernels;

namespace emulated {  // emulated.cc of each family

void ToActivations(const ActivationsArgs&, Range rows);
void Round(const RoundArgs&, Range rows);
void Embed(const EmbedArgs&, Range rows);
void Matmul(const MatmulArgs&, Range panels);
void Norm(const NormArgs&, Range rows);
void Rope(const RopeArgs&, Range rows);
void Append(const AppendArgs&, Range rows);
void Attention(const AttentionArgs&, Range items);
void Glu(const GluArgs&, Range rows);
void FindShortlist(const ShortlistArgs&, Range rows);

void AppendRows(const AppendArgs&, const PassRow* rows, std::int64_t count);
void AttendRows(const AttentionArgs&, const DeviceRows& rows, Range kv_heads);

// Grants kernels the arrays of activations, to write or to read.
class ActivationsMemory {
 public:
  explicit ActivationsMemory(const Activations& rows)
      : values_(Memory::ReadWrite(rows.values, rows.rows * rows.k)),
        bf16_(Memory::ReadWrite(rows.bf16, rows.rows * rows.k)),
        codes_(Memory::ReadWrite(rows.codes, rows.rows * rows.k)),
        scale_(Memory::ReadWrite(rows.scale, rows.rows * rows.k / kGroup)),
        sum_(Memory::ReadWrite(rows.sum, rows.rows * rows.k / kGroup)),
        scaled_sum_(Memory::ReadWrite(rows.scaled_sum, rows.rows * rows.k / kGroup)) {}

 private:
  using Memory = cuda::emulator::Memory;
  Memory values_, bf16_, codes_, scale_, sum_, scaled_sum_;
};

}  // namespace emulated
}  // namespace fallow
