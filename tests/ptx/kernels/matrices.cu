// One tile of a matrix product per warp: A from shared memory by ldmatrix, then mma. C = A B + C,
// A [m, k] and B [8, k] (so B's columns) row by row, C [m, 8].
#include <cstdint>

namespace {

__device__ std::uint32_t SharedAddress(const void* p) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
}

#if __CUDA_ARCH__ >= 800
// Of rows of `pitch` bytes: the four 8 x 16-byte matrices of a 16 x 32-byte tile.
__device__ void LoadTile(std::uint32_t (&r)[4], const std::uint8_t* tile, int pitch) {
  const int lane = threadIdx.x & 31;
  const std::uint32_t at = SharedAddress(tile + lane % 16 * pitch + lane / 16 * 16);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(at)
               : "memory");
}

// B's two 8 x 16-byte matrices.
__device__ void LoadColumns(std::uint32_t (&r)[2], const std::uint8_t* tile, int pitch) {
  const int lane = threadIdx.x & 15;
  const std::uint32_t at = SharedAddress(tile + lane % 8 * pitch + lane / 8 * 16);
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];\n"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(at)
               : "memory");
}

__device__ void ToShared(std::uint8_t* to, const std::uint8_t* from, int bytes) {
  for (int i = threadIdx.x * 16; i < bytes; i += 32 * 16) {
    *reinterpret_cast<uint4*>(to + i / 32 * 48 + i % 32) =
        *reinterpret_cast<const uint4*>(from + i);
  }
  __syncthreads();
}
#endif

// The place in C of accumulator i.
__device__ int PlaceOf(int i) {
  const int lane = threadIdx.x & 31;
  return (lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2;
}

}  // namespace

// kType: 0 bf16, 1 fp16, each with k = 16; 2 int8 with k = 32. Rows are 32 bytes in all.
template <int kType, typename Sum>
__global__ void Product(const std::uint8_t* a, const std::uint8_t* b, Sum* c) {
#if __CUDA_ARCH__ >= 800
  __shared__ __align__(16) std::uint8_t shared_a[16 * 48];
  __shared__ __align__(16) std::uint8_t shared_b[8 * 48];
  ToShared(shared_a, a, 16 * 32);
  ToShared(shared_b, b, 8 * 32);
  std::uint32_t x[4], y[2];
  LoadTile(x, shared_a, 48);
  LoadColumns(y, shared_b, 48);
  Sum d[4];
  for (int i = 0; i < 4; ++i) d[i] = c[PlaceOf(i)];
  if constexpr (kType == 0) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1]));
  } else if constexpr (kType == 1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1]));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};\n"
        : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
        : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1]));
  }
  for (int i = 0; i < 4; ++i) c[PlaceOf(i)] = d[i];
#endif
}
template __global__ void Product<0, float>(const std::uint8_t*, const std::uint8_t*, float*);
template __global__ void Product<1, float>(const std::uint8_t*, const std::uint8_t*, float*);
template __global__ void Product<2, std::int32_t>(const std::uint8_t*, const std::uint8_t*,
                                                  std::int32_t*);

// What sm_75 has: fp16 m16n8k8, of rows of 16 bytes, without ldmatrix.
extern "C" __global__ void SmallProduct(const std::uint32_t* a, const std::uint32_t* b, float* c) {
  const int lane = threadIdx.x;
  const std::uint32_t x[2] = {a[lane / 4 * 4 + lane % 4], a[(lane / 4 + 8) * 4 + lane % 4]};
  const std::uint32_t y = b[lane / 4 * 4 + lane % 4];
  float d[4];
  for (int i = 0; i < 4; ++i) d[i] = c[PlaceOf(i)];
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
      "{%0,%1,%2,%3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(x[0]), "r"(x[1]), "r"(y));
  for (int i = 0; i < 4; ++i) c[PlaceOf(i)] = d[i];
}

// The transpose of an 8 x 8 matrix of 16-bit words, by ldmatrix.
extern "C" __global__ void TransposeTile(const std::uint16_t* a, std::uint32_t* b) {
  __shared__ __align__(16) std::uint16_t tile[8][8];
  for (int i = threadIdx.x; i < 64; i += 32) tile[i / 8][i % 8] = a[i];
  __syncthreads();
  std::uint32_t r;
  asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];\n"
               : "=r"(r)
               : "r"(SharedAddress(tile[threadIdx.x % 8]))
               : "memory");
  b[threadIdx.x] = r;
}
