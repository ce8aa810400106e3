#include "kernels/cuda/emulated.h"

namespace fallow {

const KernelTable kEmulatedCudaKernels = {
    .name = "cuda-emulated",
    .activations = emulated::ToActivations,
    .round = emulated::Round,
    .embed = emulated::Embed,
    .matmul = emulated::Matmul,
    .norm = emulated::Norm,
    .rope = emulated::Rope,
    .append = emulated::Append,
    .attention = emulated::Attention,
    .glu = emulated::Glu,
    .shortlist = emulated::FindShortlist,
};

}  // namespace fallow
