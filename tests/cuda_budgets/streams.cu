// Loops whose loads in flight are known by hand, for bounds_test.py.

// kTogether loads of 16 bytes are issued before the first is used.
template <int kTogether>
__global__ void Stream(const uint4* from, int turns, unsigned* to) {
  unsigned sum = 0;
#pragma unroll 1
  for (int turn = 0; turn < turns; ++turn) {
    uint4 parts[kTogether];
#pragma unroll
    for (int i = 0; i < kTogether; ++i) parts[i] = from[(turn * kTogether + i) * 32 + threadIdx.x];
#pragma unroll
    for (int i = 0; i < kTogether; ++i) sum ^= parts[i].x ^ parts[i].y ^ parts[i].z ^ parts[i].w;
  }
  to[threadIdx.x] = sum;
}
template __global__ void Stream<1>(const uint4*, int, unsigned*);
template __global__ void Stream<4>(const uint4*, int, unsigned*);

// The next load's address is the last one's result.
__global__ void Chain(const unsigned* from, int turns, unsigned* to) {
  unsigned at = threadIdx.x;
#pragma unroll 1
  for (int turn = 0; turn < turns; ++turn) at = from[at];
  to[threadIdx.x] = at;
}

// kStages - 1 groups of copies are on their way while one is used.
template <int kStages>
__global__ void Copies(const char* from, int turns, unsigned* to) {
  __shared__ uint4 parts[kStages][32];
  const auto copy = [&](int turn) {
    const auto at =
        static_cast<unsigned>(__cvta_generic_to_shared(&parts[turn % kStages][threadIdx.x]));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(at),
                 "l"(from + (turn * 32 + threadIdx.x) * 16)
                 : "memory");
    asm volatile("cp.async.commit_group;" ::: "memory");
  };
  for (int turn = 0; turn < kStages - 1; ++turn) copy(turn);
  unsigned sum = 0;
#pragma unroll 1
  for (int turn = 0; turn < turns; ++turn) {
    copy(turn + kStages - 1);
    asm volatile("cp.async.wait_group %0;" ::"n"(kStages - 1) : "memory");
    sum ^= parts[turn % kStages][threadIdx.x].x;
  }
  to[threadIdx.x] = sum;
}
template __global__ void Copies<2>(const char*, int, unsigned*);
template __global__ void Copies<4>(const char*, int, unsigned*);
