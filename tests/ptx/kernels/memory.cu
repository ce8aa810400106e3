// Vector accesses, parameters by value, and atomics.
#include <cstdint>

struct Shape {
  const float* from;
  float* to;
  std::int32_t n;
  std::int8_t shift;
};

// to[i] = from[i] * 2 + shift, by vectors of 16 bytes, then of 8, then one by one.
extern "C" __global__ void Vectors(Shape shape) {
  const int i = 4 * (blockIdx.x * blockDim.x + threadIdx.x);
  const float shift = shape.shift;
  if (i + 4 <= shape.n) {
    const float4 v = __ldg(reinterpret_cast<const float4*>(shape.from + i));
    *reinterpret_cast<float4*>(shape.to + i) =
        make_float4(v.x * 2 + shift, v.y * 2 + shift, v.z * 2 + shift, v.w * 2 + shift);
    return;
  }
  int at = i;
  if (at + 2 <= shape.n) {
    const float2 v = *reinterpret_cast<const float2*>(shape.from + at);
    *reinterpret_cast<float2*>(shape.to + at) = make_float2(v.x * 2 + shift, v.y * 2 + shift);
    at += 2;
  }
  for (; at < shape.n && at < i + 4; ++at) shape.to[at] = shape.from[at] * 2 + shift;
}

// Bytes and words, signed and not.
extern "C" __global__ void Narrow(const std::int8_t* a, const std::uint8_t* b,
                                  const std::int16_t* c, const std::uint16_t* d, int n,
                                  std::int64_t* sums, std::int8_t* bytes, std::uint16_t* words) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  sums[i] = std::int64_t{a[i]} * 3 + b[i] - c[i] * 5ll + d[i];
  bytes[i] = static_cast<std::int8_t>(c[i]);
  words[i] = static_cast<std::uint16_t>(a[i] + b[i]);
}

// A histogram, extremes, and a count by compare-and-swap.
extern "C" __global__ void Atomics(const std::int32_t* a, int n, std::uint32_t* histogram,
                                   std::int32_t* extremes, unsigned long long* sum, float* total,
                                   std::uint32_t* count) {
  __shared__ std::uint32_t local[8];
  if (threadIdx.x < 8) local[threadIdx.x] = 0;
  __syncthreads();
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) {
    atomicAdd(&local[a[i] & 7], 1u);
    atomicMin(&extremes[0], a[i]);
    atomicMax(&extremes[1], a[i]);
    atomicXor(&extremes[2], a[i]);
    atomicAdd(sum, static_cast<unsigned long long>(a[i] & 0xffff) << 20);
    atomicAdd(total, static_cast<float>(a[i] & 15));
    std::uint32_t seen = *count, before;
    do {
      before = seen;
      seen = atomicCAS(count, before, before + 1);
    } while (seen != before);
  }
  __syncthreads();
  if (threadIdx.x < 8) atomicAdd(&histogram[threadIdx.x], local[threadIdx.x]);
}
