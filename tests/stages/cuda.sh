# The stage of the CUDA kernels, without a device.

# Emulated in order and in other orders, then with each access to memory watched; and what nvcc,
# where there is one, makes of them.
stage_cuda() {
  local tests=build/dev/tests/kernels/cuda cases='~[floats]' seed nvcc=0
  local programs=(fallow_cuda_tests fallow_cuda_checked_tests fallow_fiber_ucontext_tests)
  command -v nvcc >/dev/null && nvcc=1 && programs+=(fallow_cuda_ptx_tests fallow_ptx_tests)
  cmake --preset dev
  cmake --build --preset dev --target "${programs[@]}"
  "$tests/fallow_fiber_ucontext_tests"
  "$tests/fallow_cuda_tests" "$cases"
  for seed in 1 2; do
    FALLOW_CUDA_SEED=$seed "$tests/fallow_cuda_tests" "$cases"
  done
  "$tests/fallow_cuda_checked_tests" "$cases" --durations yes
  FALLOW_CUDA_SEED=1 "$tests/fallow_cuda_checked_tests" "~[faults]~[traffic]$cases"
  if ((nvcc)); then judge_nvcc; else echo "no nvcc: its output is not judged"; fi
}

# Its PTX, interpreted, gives the same bits; its machine code keeps to budgets and spills nothing.
judge_nvcc() {
  local architecture
  build/dev/tests/ptx/fallow_ptx_tests
  for architecture in 80 90 120; do
    FALLOW_CUDA_PTX=$tests/instantiate.$architecture.ptx "$tests/fallow_cuda_ptx_tests" "$cases"
  done
  python3 tests/cuda_budgets/budgets_test.py
  python3 tests/cuda_budgets/budgets.py tests/cuda_budgets/kernels.json
}
