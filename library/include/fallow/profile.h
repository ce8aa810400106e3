// Where a model's time goes on this machine, kernel by kernel, beside what the machine allows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "fallow/model_spec.h"

namespace fallow {

struct ProfileOptions {
  std::string checkpoint;              // a directory or a .gguf file
  BlockRange blocks;                   // empty: all
  std::string numeric_class = "auto";  // auto, fp32, bf16, exact, or a whole class string
  std::string weights = "auto";        // auto, fp32, bf16, q8, q4
  int threads = 0;                     // 0: all cores
  int prompt_tokens = 512;             // of one sequence, in passes of 128
  int new_tokens = 64;                 // after that, one a pass
};

struct KernelProfile {
  std::string kernel;  // "matmul q4_1 960x576": rows and columns of the weights; "attention", ...
  std::int64_t calls = 0;
  double seconds = 0;        // of all calls
  double bytes = 0;          // of weights, keys and values, or else of rows in and out
  double multiply_adds = 0;  // two floating-point or integer operations each
  // The least time for as many bytes and products, by the limits; over `seconds` it is the fraction
  // of what the machine allows. Above 1 where weights come from a cache.
  double least_seconds = 0;
};

struct PhaseProfile {
  double seconds = 0;  // a little more than its kernels take together
  double tokens_per_second = 0;
  std::vector<KernelProfile> kernels;  // the longest first
};

struct Profile {
  std::string device;  // "cpu avx512"
  std::string numeric_class;
  int threads = 0;
  // Measured before, on the same threads: reading as many bytes as the weights have (or 1 GiB), and
  // bytes that stay in a core's own cache; a second.
  double memory_bytes_per_second = 0;
  double cache_bytes_per_second = 0;
  PhaseProfile prefill;
  PhaseProfile decode;
};

// Loads the blocks and runs tokens through them: through the whole model also embedding, head and
// sampling (top_k 50, top_p 0.95). Needs the machine for itself to tell the truth.
// InvalidArgument (options; more tokens than the model's context), NotFound or DataLoss
// (checkpoint), ResourceExhausted (memory).
absl::StatusOr<Profile> ProfileModel(const ProfileOptions& options);

}  // namespace fallow
