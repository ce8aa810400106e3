// A stand-in for cuBLAS on the emulator's stream. It refuses what cuBLAS would.
#include <algorithm>

#include "kernels/cuda/cublas.h"
#include "kernels/cuda/emulator/stream.h"
#include "kernels/cuda/runtime.h"

namespace fallow::cuda {
namespace {

using emulator::Stream;

constexpr int kNotInitialised = 1;  // CUBLAS_STATUS_NOT_INITIALIZED
constexpr int kInvalidValue = 7;    // CUBLAS_STATUS_INVALID_VALUE
constexpr int kNotSupported = 15;   // CUBLAS_STATUS_NOT_SUPPORTED
constexpr int kFloat = 0;           // CUDA_R_32F
constexpr int kComputeFloat = 68;   // CUBLAS_COMPUTE_32F

struct Handle {
  void* stream = nullptr;
};

// A matrix that goes down its columns.
struct Matrix {
  const float* numbers;
  int leading;  // numbers from a column to the next
  bool transposed;
  long long stride;  // to the next matrix of the batch

  float At(int matrix, int row, int column) const {
    if (transposed) std::swap(row, column);
    return numbers[matrix * stride + std::int64_t{column} * leading + row];
  }
};

struct Products {
  int m, n, k, count;
  float alpha, beta;
  Matrix a, b;
  float* c;
  int ldc;
  long long stride_c;

  static cudaError_t Run(const void* closure) {
    static_cast<const Products*>(closure)->Compute();
    return cudaSuccess;
  }

  void Compute() const {
    for (int matrix = 0; matrix < count; ++matrix) {
      for (int column = 0; column < n; ++column) {
        for (int row = 0; row < m; ++row) {
          float sum = 0;
          for (int i = 0; i < k; ++i) sum += a.At(matrix, row, i) * b.At(matrix, i, column);
          float& out = c[matrix * stride_c + std::int64_t{column} * ldc + row];
          out = alpha * sum + (beta == 0 ? 0 : beta * out);
        }
      }
    }
  }
};

int Create(void** handle) {
  *handle = new Handle;
  return 0;
}

int Destroy(void* handle) {
  delete static_cast<Handle*>(handle);
  return 0;
}

int SetStream(void* handle, void* stream) {
  static_cast<Handle*>(handle)->stream = stream;
  return 0;
}

int Gemm(void* handle, int transpose_a, int transpose_b, int m, int n, int k, const void* alpha,
         const void* a, int a_type, int lda, long long stride_a, const void* b, int b_type, int ldb,
         long long stride_b, const void* beta, void* c, int c_type, int ldc, long long stride_c,
         int count, int compute_type, int) {
  if (handle == nullptr || static_cast<Handle*>(handle)->stream == nullptr) return kNotInitialised;
  if (transpose_a < 0 || transpose_a > 1 || transpose_b < 0 || transpose_b > 1) {
    return kInvalidValue;
  }
  if (m < 0 || n < 0 || k < 0 || count < 0) return kInvalidValue;
  if (lda < std::max(1, transpose_a ? k : m) || ldb < std::max(1, transpose_b ? n : k) ||
      ldc < std::max(1, m)) {
    return kInvalidValue;
  }
  if (a_type != kFloat || b_type != kFloat || c_type != kFloat || compute_type != kComputeFloat) {
    return kNotSupported;
  }
  const Products products = {.m = m,
                             .n = n,
                             .k = k,
                             .count = count,
                             .alpha = *static_cast<const float*>(alpha),
                             .beta = *static_cast<const float*>(beta),
                             .a = {static_cast<const float*>(a), lda, transpose_a != 0, stride_a},
                             .b = {static_cast<const float*>(b), ldb, transpose_b != 0, stride_b},
                             .c = static_cast<float*>(c),
                             .ldc = ldc,
                             .stride_c = stride_c};
  return emulator::Enqueue(static_cast<Handle*>(handle)->stream, &products, sizeof products,
                           Products::Run);
}

}  // namespace

const CublasFunctions kEmulatedCublas = {
    .create = Create, .destroy = Destroy, .set_stream = SetStream, .gemm = Gemm};

}  // namespace fallow::cuda
