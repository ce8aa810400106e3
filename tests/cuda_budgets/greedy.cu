// A kernel that keeps more numbers than it is allowed registers for: it spills, as it is to.
extern "C" __global__ void __launch_bounds__(1024) Greedy(const float* a, float* b, int n) {
  float kept[96];
#pragma unroll
  for (int k = 0; k < 96; ++k) kept[k] = a[threadIdx.x + k * 1024];
  for (int i = 0; i < n; ++i) {
#pragma unroll
    for (int k = 0; k < 96; ++k) kept[k] = kept[k] * kept[(k + 7) % 96] + a[i];
  }
#pragma unroll
  for (int k = 0; k < 96; ++k) b[threadIdx.x + k * 1024] = kept[k];
}
