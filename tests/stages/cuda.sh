# The stage of the CUDA kernels, without a device.

# Emulated in order and in other orders, then with each access to memory watched; and what nvcc,
# where there is one, makes of them.
stage_cuda() {
  local nvcc
  nvcc=$(cmake -P cmake/FindNvcc.cmake)
  [[ ! $nvcc ]] || PATH=$(dirname "$nvcc"):$PATH
  local programs=(fallow_cuda_tests fallow_cuda_checked_tests fallow_fiber_ucontext_tests cuda_bench)
  command -v nvcc >/dev/null && programs+=(fallow_cuda_ptx_tests fallow_ptx_tests)
  cmake --preset dev
  cmake --build --preset dev --target "${programs[@]}"
  cuda_checks | run_at_once
  command -v nvcc >/dev/null || echo "no nvcc: its output is not judged"
}

# A command a line, the longest first.
cuda_checks() {
  local tests=build/dev/tests/kernels/cuda architecture
  ((!long)) || long_cuda_checks
  echo "$tests/fallow_cuda_checked_tests --durations yes"
  # nvcc's PTX, interpreted, gives the same bits; its machine code keeps to budgets, spills nothing.
  if command -v nvcc >/dev/null; then
    for architecture in 75 80 90 120; do
      echo "env FALLOW_CUDA_PTX=$tests/instantiate.$architecture.ptx $tests/fallow_cuda_ptx_tests"
    done
    echo "python3 tests/cuda_budgets/budgets.py tests/cuda_budgets/kernels.json"
    echo "python3 tests/cuda_budgets/budgets_test.py"
    echo "python3 tests/cuda_budgets/bounds_test.py"
    echo "build/dev/tests/ptx/fallow_ptx_tests"
  fi
  echo "$tests/fallow_cuda_tests"
  echo "env FALLOW_CUDA_SEED=1 $tests/fallow_cuda_tests"
  echo "$tests/fallow_fiber_ucontext_tests"
  echo "build/dev/benchmarks/cuda_bench --emulated"  # that it runs; it measures nothing here
}

# More orders of threads, and what takes long in any.
long_cuda_checks() {
  local tests=build/dev/tests/kernels/cuda architecture seed
  echo "$tests/fallow_cuda_checked_tests '[long]'"
  echo "env FALLOW_CUDA_SEED=1 $tests/fallow_cuda_checked_tests '~[faults]~[traffic]'"
  for seed in 2 3 4; do echo "env FALLOW_CUDA_SEED=$seed $tests/fallow_cuda_tests"; done
  echo "$tests/fallow_cuda_tests '[long]'"
  command -v nvcc >/dev/null || return 0
  for architecture in 75 80 90 120; do
    echo "env FALLOW_CUDA_PTX=$tests/instantiate.$architecture.ptx $tests/fallow_cuda_ptx_tests '[long]'"
  done
}

# Runs the commands of stdin, as many at once as there are cores, and shows what each printed.
run_at_once() {
  xargs -d '\n' -P "$(nproc)" -I{} bash -c '
    output=$({} 2>&1); status=$?
    printf "%s\n" "== {}" "$output"
    exit $status'
}
