// The kernels of one implementation on the host: what a HostBackend is made of.
#pragma once

#include <span>

#include "base/range.h"
#include "kernels/attention/attention.h"
#include "kernels/glu/glu.h"
#include "kernels/matmul/matmul.h"
#include "kernels/norm/norm.h"
#include "kernels/quantize/quantize.h"
#include "kernels/rope/rope.h"
#include "kernels/shortlist/shortlist.h"

namespace fallow {

// Each function does the part of its work that the range names (rows, panels or items, as its
// header says), so that several threads can share it. None allocates on its hot path or keeps
// state.
struct KernelTable {
  const char* name;
  void (*activations)(const ActivationsArgs&, Range rows);
  void (*round)(const RoundArgs&, Range rows);
  void (*embed)(const EmbedArgs&, Range rows);
  void (*matmul)(const MatmulArgs&, Range panels);
  void (*norm)(const NormArgs&, Range rows);
  void (*rope)(const RopeArgs&, Range rows);
  void (*append)(const AppendArgs&, Range rows);
  void (*attention)(const AttentionArgs&, Range items);
  void (*glu)(const GluArgs&, Range rows);
  void (*shortlist)(const ShortlistArgs&, Range rows);
};

extern const KernelTable kReferenceKernels;  // double precision, obvious; every arithmetic
extern const KernelTable kExactKernels;      // scalar fp32: the definition of kExact; that alone

// The instruction sets that this build has and this machine (and its operating system) grants,
// fastest first; "generic" is always the last. Names: avx512, avx2vnni, avx2; neoni8mm, neondot,
// neon; generic.
std::span<const KernelTable* const> CpuKernels();

// The one of that name, or the fastest if no name is given. Null where the name is unknown or not
// granted, which the caller reports as InvalidArgument.
const KernelTable* ChooseCpuKernels(const char* isa_or_null);

}  // namespace fallow
