// All kernels, for nvcc: that it takes them, for the devices we mean them for.
#include "kernels/matmul/kernel.cuh"
#include "kernels/norm/kernel.cuh"
#include "kernels/quantize/kernel.cuh"
#include "tests/kernels/cuda/samples.cuh"

namespace fallow::test {

// What a back end would call: with it all kernels behind these functions are made.
void LaunchAll(const ActivationsArgs& activations, const RoundArgs& round, const NormArgs& norm,
               const MatmulArgs& matmul, Range range, cudaStream_t stream) {
  cuda::LaunchActivations(activations, range, stream);
  cuda::LaunchRound(round, range, stream);
  cuda::LaunchNorm(norm, range, stream);
  cuda::LaunchSkinnyProduct(matmul, range, stream);
}

extern const void* const kSamples[] = {
    reinterpret_cast<const void*>(&TiledProductKernel<Fault::kNone>),
    reinterpret_cast<const void*>(&RowProductKernel<Fault::kNone>),
    reinterpret_cast<const void*>(&StreamedSumKernel<Fault::kNone>),
    reinterpret_cast<const void*>(&WarpReversalKernel<Fault::kNone>),
    reinterpret_cast<const void*>(&TensorProductKernel<Fault::kNone, true>),
    reinterpret_cast<const void*>(&ByteProductKernel),
    reinterpret_cast<const void*>(&HalfProductKernel),
    reinterpret_cast<const void*>(&IntrinsicsKernel),
    reinterpret_cast<const void*>(&AtomicSumKernel),
};

}  // namespace fallow::test
