// Products of fp32 weights with many rows by cuBLAS, which is opened at run time where there is
// one.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/matmul/matmul.h"

namespace fallow::cuda {

// What is called of cuBLAS. Handles and streams are pointers, enumerations ints, as in its ABI; a
// cublasStatus_t is returned. Source: cublas_api.h of CUDA 12 and 13.
struct CublasFunctions {
  int (*create)(void** handle);                   // cublasCreate_v2
  int (*destroy)(void* handle);                   // cublasDestroy_v2
  int (*set_stream)(void* handle, void* stream);  // cublasSetStream_v2
  int (*gemm)(void* handle, int transpose_a, int transpose_b, int m, int n, int k,
              const void* alpha, const void* a, int a_type, int lda, long long stride_a,
              const void* b, int b_type, int ldb, long long stride_b, const void* beta, void* c,
              int c_type, int ldc, long long stride_c, int count, int compute_type,
              int algorithm);  // cublasGemmStridedBatchedEx
};

// Of the first of these libraries that there is. NotFound if there is none, FailedPrecondition if
// it lacks a function.
absl::StatusOr<CublasFunctions> LoadCublas(std::span<const std::string> libraries);

class Cublas {
 public:
  // Internal if cuBLAS does not start.
  static absl::StatusOr<std::unique_ptr<Cublas>> Start(const CublasFunctions& functions,
                                                       void* stream);
  ~Cublas();
  Cublas(const Cublas&) = delete;
  Cublas& operator=(const Cublas&) = delete;

  // Weights of fp32, without a bias: a panel is a matrix that cuBLAS reads as it is. That of bf16
  // is not, for two of its k lie side by side.
  static bool Takes(const MatmulArgs& args);

  // Enqueues the product. ResourceExhausted or Internal.
  absl::Status Multiply(const MatmulArgs& args) const;

 private:
  Cublas(const CublasFunctions& functions, void* handle) : functions_(functions), handle_(handle) {}

  const CublasFunctions functions_;
  void* const handle_;
};

}  // namespace fallow::cuda
