# The stage of the CUDA kernels, without a device.

# Emulated in order and in other orders, then with each access to memory watched; and by nvcc, where
# there is one, which may spill no register.
stage_cuda() {
  local programs=(fallow_cuda_tests fallow_cuda_checked_tests fallow_fiber_ucontext_tests)
  cmake --preset dev
  cmake --build --preset dev --target "${programs[@]}"
  local tests=build/dev/tests/kernels/cuda cases='~products of floats*' seed
  "$tests/fallow_fiber_ucontext_tests"
  "$tests/fallow_cuda_tests" "$cases"
  for seed in 1 2; do
    FALLOW_CUDA_SEED=$seed "$tests/fallow_cuda_tests" "$cases"
  done
  "$tests/fallow_cuda_checked_tests" "$cases" --durations yes
  FALLOW_CUDA_SEED=1 "$tests/fallow_cuda_checked_tests" "~[faults]~[traffic]$cases"
  if command -v nvcc >/dev/null; then compile_kernels; else echo "no nvcc: not compiled by it"; fi
}

compile_kernels() {
  local architecture
  for architecture in sm_80 sm_90 sm_120; do
    nvcc -std=c++20 -O3 -arch=$architecture -fmad=false -prec-div=true -prec-sqrt=true -ftz=false \
      -Xptxas -warn-spills,-Werror -I library -I library/include -I . \
      -c tests/kernels/cuda/instantiate.cu -o build/instantiate-$architecture.o
    echo "nvcc: $architecture"
  done
}
