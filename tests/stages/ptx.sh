# The stage that judges what nvcc makes of CUDA sources; needs nvcc, no GPU.

stage_ptx() {
  cmake --preset dev
  cmake --build --preset dev --target fallow_ptx_tests
  ctest --preset dev --label-regex '^ptx$'
  python3 tests/cuda_budgets/budgets_test.py
}
