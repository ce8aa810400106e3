// The samples, for nvcc: that it takes them.
#include "tests/kernels/cuda/samples.cuh"

namespace fallow::test {

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
