// Shuffles, votes and matches, among lanes that parted.
#include <cstdint>

// One block of `n` threads, n up to 64. Each shuffle in segments of `width`, a power of two.
template <int kWidth>
__global__ void Shuffles(const float* a, float* up, float* down, float* across, float* from) {
  const int i = threadIdx.x;
  const float x = a[i];
  up[i] = __shfl_up_sync(0xffffffff, x, 3, kWidth);
  down[i] = __shfl_down_sync(0xffffffff, x, 5, kWidth);
  across[i] = __shfl_xor_sync(0xffffffff, x, 6, kWidth);
  from[i] = __shfl_sync(0xffffffff, x, i * 7, kWidth);
}
template __global__ void Shuffles<32>(const float*, float*, float*, float*, float*);
template __global__ void Shuffles<8>(const float*, float*, float*, float*, float*);

// Lanes take one of three ways of different lengths, talk to those who took the same, meet again.
extern "C" __global__ void DivergentSums(const std::int32_t* a, std::int32_t* sums,
                                         std::int32_t* votes) {
  const int i = threadIdx.x;
  const int lane = i & 31;
  std::int32_t x = a[i];
  if (lane < 8) {
    for (int by = 4; by > 0; by /= 2) x += __shfl_xor_sync(0x000000ff, x, by, 8);
  } else if (lane < 16) {
    for (int k = 0; k < lane; ++k) x = x * 3 + 1;  // each lane leaves the loop at a time of its own
    x = __shfl_sync(0x0000ff00, x, 15);
  } else {
    for (int by = 8; by > 0; by /= 2) x += __shfl_down_sync(0xffff0000, x, by, 16);
  }
  __syncwarp();
  sums[i] = x;
  votes[4 * i] = __ballot_sync(0xffffffff, x & 1);
  votes[4 * i + 1] = __any_sync(0xffffffff, x == sums[i] + 1);
  votes[4 * i + 2] = __all_sync(0xffffffff, x == sums[i]);
  votes[4 * i + 3] = __match_any_sync(0xffffffff, a[i] & 3);
}

// A switch with a way for each of six values, nested in a loop.
extern "C" __global__ void Ways(const std::int32_t* a, int n, std::int32_t* results) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  std::int32_t x = a[i];
  std::int32_t sum = 0;
  while (x != 0) {
    switch (x % 7) {
      case 0:
        sum = sum * 5 + 1;
        break;
      case 1:
        sum ^= x;
        break;
      case 2:
        sum -= 1000;
        break;
      case 3:
        sum = sum / 3 + x;
        break;
      case 4:
        sum = ~sum;
        break;
      case 5:
        sum += 17 * x;
        break;
      default:
        sum *= 2;
    }
    x /= 2;
    if (x == 1234) break;
  }
  results[i] = sum;
}

#if __CUDA_ARCH__ >= 800
extern "C" __global__ void Reductions(const std::int32_t* a, std::int32_t* results) {
  const int i = threadIdx.x;
  results[3 * i] = __reduce_add_sync(0xffffffff, a[i]);
  results[3 * i + 1] = __reduce_min_sync(0xffffffff, a[i]);
  results[3 * i + 2] = __reduce_max_sync(0xffffffff, static_cast<unsigned>(a[i]));
}
#endif
