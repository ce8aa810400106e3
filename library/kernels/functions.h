// The functions that each implementation of the kernels defines, in a namespace of its own; what
// they do stands with their arguments in the headers of the families.
#pragma once

#include "base/range.h"
#include "kernels/attention/attention.h"
#include "kernels/glu/glu.h"
#include "kernels/matmul/matmul.h"
#include "kernels/norm/norm.h"
#include "kernels/quantize/quantize.h"
#include "kernels/rope/rope.h"
#include "kernels/shortlist/shortlist.h"

#define FALLOW_DECLARE_KERNELS                            \
  void ToActivations(const ActivationsArgs&, Range rows); \
  void Round(const RoundArgs&, Range rows);               \
  void Embed(const EmbedArgs&, Range rows);               \
  void Matmul(const MatmulArgs&, Range panels);           \
  void Norm(const NormArgs&, Range rows);                 \
  void Rope(const RopeArgs&, Range rows);                 \
  void Append(const AppendArgs&, Range rows);             \
  void Attention(const AttentionArgs&, Range items);      \
  void Glu(const GluArgs&, Range rows);                   \
  void FindShortlist(const ShortlistArgs&, Range rows);

namespace fallow::reference {  // reference.cc of each family: double precision, every arithmetic
FALLOW_DECLARE_KERNELS
}  // namespace fallow::reference

namespace fallow::exact {  // exact.cc: scalar, the definition of kExact
FALLOW_DECLARE_KERNELS
}  // namespace fallow::exact

#ifdef FALLOW_ISA
namespace fallow::FALLOW_ISA {  // cpu.cc, once per instruction set
FALLOW_DECLARE_KERNELS
}  // namespace fallow::FALLOW_ISA
#endif
