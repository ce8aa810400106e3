#!/usr/bin/env bash
# tests/gpu_check.sh: what the other tests show of the CUDA kernels in an emulator, shown on this
# machine's GPU: their tables of cases, golden models, and the same under compute-sanitizer. Then how
# fast the kernels are, beside what this GPU reaches at reading memory and on its tensor cores.
# Says "skipped" and exits 0 where there is no GPU or no nvcc. Has not run on a GPU.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

skip() {
  echo "skipped: $1"
  exit 0
}
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1) || true
[[ $capability ]] || skip "no GPU"
[[ $(cmake -P cmake/FindNvcc.cmake) ]] || skip "no nvcc"
((${capability/./} >= 75)) || skip "a GPU of compute capability $capability, expected 7.5 or later"

cmake/install_dependencies.sh --tests
cmake --preset cuda
cmake --build --preset cuda --target fallow_cuda_gpu_tests fallow_cuda_ptx cuda_bench

# The latest PTX that this device takes: its driver compiles it.
tests=build/cuda/tests/kernels/cuda
for architecture in 75 80 90 120; do
  ((architecture > ${capability/./})) || export FALLOW_CUDA_PTX=$tests/instantiate.$architecture.ptx
done
export FALLOW_TEST_DEVICE=cuda  # of golden models

echo "== $(nvidia-smi --query-gpu=name --format=csv,noheader | head -n 1), $FALLOW_CUDA_PTX"
"$tests/fallow_cuda_gpu_tests"
for tool in memcheck racecheck initcheck synccheck; do
  echo "== compute-sanitizer --tool $tool"
  compute-sanitizer --tool "$tool" --error-exitcode 1 "$tests/fallow_cuda_gpu_tests" \
    "[norm],[rope],[glu],[quantize],[shortlist],[model]"
done

echo "== speed"
build/cuda/benchmarks/cuda_bench
