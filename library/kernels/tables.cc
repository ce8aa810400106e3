#include "kernels/functions.h"
#include "kernels/kernel_table.h"

namespace fallow {

const KernelTable kReferenceKernels = {
    .name = "reference",
    .activations = reference::ToActivations,
    .round = reference::Round,
    .embed = reference::Embed,
    .matmul = reference::Matmul,
    .norm = reference::Norm,
    .rope = reference::Rope,
    .append = reference::Append,
    .attention = reference::Attention,
    .glu = reference::Glu,
    .shortlist = reference::FindShortlist,
};

const KernelTable kExactKernels = {
    .name = "exact",
    .activations = exact::ToActivations,
    .round = exact::Round,
    .embed = exact::Embed,
    .matmul = exact::Matmul,
    .norm = exact::Norm,
    .rope = exact::Rope,
    .append = exact::Append,
    .attention = exact::Attention,
    .glu = exact::Glu,
    .shortlist = exact::FindShortlist,
};

}  // namespace fallow
