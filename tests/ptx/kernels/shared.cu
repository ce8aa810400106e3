// Shared memory, barriers, cp.async, local memory and tables in constant memory.
#include <cstdint>

__constant__ std::int8_t kTable[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                       1,    13,   25,  38,  53,  69,  89,  113};
__device__ const float kScales[4] = {0.5f, -2, 3, 0.25f};

// The transpose of a [rows, columns] matrix by way of tiles of 16 x 16 in static shared memory.
extern "C" __global__ void __launch_bounds__(256)
    Transpose(const float* a, float* b, int rows, int columns) {
  __shared__ float tile[16][17];
  const int x = threadIdx.x, y = threadIdx.y;
  const int row = blockIdx.y * 16 + y, column = blockIdx.x * 16 + x;
  if (row < rows && column < columns) tile[y][x] = a[row * columns + column];
  __syncthreads();
  const int to_row = blockIdx.x * 16 + y, to_column = blockIdx.y * 16 + x;
  if (to_row < columns && to_column < rows) b[to_row * rows + to_column] = tile[x][y];
}

// Sums of each block's numbers, in dynamic shared memory.
extern "C" __global__ void Sums(const std::int32_t* a, int n, std::int32_t* sums) {
  extern __shared__ std::int32_t partial[];
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  partial[threadIdx.x] = i < n ? a[i] : 0;
  for (int half = blockDim.x / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
  }
  if (threadIdx.x == 0) sums[blockIdx.x] = partial[0];
}

// Tables, and an array that an index unknown to the compiler keeps in local memory.
extern "C" __global__ void Lookups(const std::uint8_t* codes, int n, float* results) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float seen[8] = {};
  for (int k = 0; k < 16; ++k) seen[codes[i] >> k % 5 & 7] += kTable[(codes[i] + k) & 15];
  results[i] = seen[codes[i] & 7] * kScales[codes[i] & 3];
}

#if __CUDA_ARCH__ >= 800
namespace {

__device__ void Copy16(void* to, const void* from, bool valid) {
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(address), "l"(from),
               "r"(valid ? 16 : 0)
               : "memory");
}

}  // namespace

// y[i] = the sum over tiles of 128 numbers of a[tile][(i + tile) % 128], by a double buffer.
// Numbers beyond n count as zero. One block of 64 threads, of
// which the first warp copies. kFault plants one of two faults.
template <int kFault>
__global__ void DoubleBuffer(const float* a, int n, int tiles, float* y) {
  __shared__ __align__(16) float buffer[2][128];
  const auto fetch = [&](int tile) {
    const int at = tile * 128 + threadIdx.x * 4;
    if (tile < tiles && threadIdx.x < 32) {
      Copy16(&buffer[tile & 1][threadIdx.x * 4], a + min(at, n - 4), at < n);
    }
    asm volatile("cp.async.commit_group;\n" ::: "memory");
  };
  float sums[2] = {};
  fetch(0);
  for (int tile = 0; tile < tiles; ++tile) {
    fetch(tile + 1);
    if (kFault != 1) asm volatile("cp.async.wait_group 1;\n" ::: "memory");
    __syncthreads();
    for (int k = 0; k < 2; ++k) sums[k] += buffer[tile & 1][(threadIdx.x * 2 + k + tile) % 128];
    if (kFault != 2) __syncthreads();
  }
  for (int k = 0; k < 2; ++k) y[threadIdx.x * 2 + k] = sums[k];
}
template __global__ void DoubleBuffer<0>(const float*, int, int, float*);
template __global__ void DoubleBuffer<1>(const float*, int, int, float*);
template __global__ void DoubleBuffer<2>(const float*, int, int, float*);
#endif
