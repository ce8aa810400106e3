// Compiled once per instruction set, as cpu.cc files are.
#include "kernels/functions.h"
#include "kernels/kernel_table.h"

#define FALLOW_TEXT_INNER(text) #text
#define FALLOW_TEXT(text) FALLOW_TEXT_INNER(text)

namespace fallow::FALLOW_ISA {

extern const KernelTable kTable;  // declared in dispatch.cc for each instruction set

const KernelTable kTable = {
    .name = FALLOW_TEXT(FALLOW_ISA),
    .activations = ToActivations,
    .round = Round,
    .embed = Embed,
    .matmul = Matmul,
    .norm = Norm,
    .rope = Rope,
    .append = Append,
    .attention = Attention,
    .glu = Glu,
    .shortlist = FindShortlist,
};

}  // namespace fallow::FALLOW_ISA
