// All kernels, for nvcc: that it takes them, for the devices we mean them for.
#include "kernels/attention/append.cuh"
#include "kernels/attention/kernel.cuh"
#include "kernels/glu/kernel.cuh"
#include "kernels/matmul/kernel.cuh"
#include "kernels/norm/kernel.cuh"
#include "kernels/quantize/kernel.cuh"
#include "kernels/rope/kernel.cuh"

namespace fallow::test {

// What a back end would call: with it all kernels behind these functions are made.
void LaunchAll(const ActivationsArgs& activations, const RoundArgs& round, const NormArgs& norm,
               const MatmulArgs& matmul, Range range, cudaStream_t stream) {
  cuda::LaunchActivations(activations, range, stream);
  cuda::LaunchRound(round, range, stream);
  cuda::LaunchNorm(norm, range, stream);
  cuda::LaunchMatmul(matmul, range, stream);
}
void LaunchAll(const EmbedArgs& embed, const RopeArgs& rope, const GluArgs& glu,
               const AppendArgs& append, const AttentionArgs& attention, const DeviceRows& rows,
               Range range, cudaStream_t stream) {
  cuda::LaunchEmbed(embed, range, stream);
  cuda::LaunchRope(rope, range, stream);
  cuda::LaunchGlu(glu, range, stream);
  cuda::LaunchAppend(append, rows.rows, rows.count, stream);
  cuda::LaunchAttention(attention, rows, range, stream);
}

}  // namespace fallow::test
