# The stages that build the library and its C++ tests: one preset each.

stage_dev() {
  cmake --workflow --preset dev
  python3 tests/lint/isa_symbols.py build/dev
}

stage_asan() {
  cmake --workflow --preset asan
}

stage_tsan() {
  cmake/build_tsan_abseil.sh build/tsan-abseil
  # ThreadSanitizer's fixed memory map and a kernel's random one can collide.
  local fixed_addresses=(setarch "$(uname -m)" --addr-no-randomize)
  "${fixed_addresses[@]}" true || fixed_addresses=()
  "${fixed_addresses[@]}" cmake --workflow --preset tsan
}

stage_arm() {
  cmake/fetch_arm_libraries.sh build/arm-libraries
  cmake --workflow --preset arm
  python3 tests/lint/isa_symbols.py build/arm
  run_as_processor neoverse-n1 'neondot neon generic'
  run_as_processor cortex-a53 'neon generic'
}

# run_as_processor NAME ISAS: that one is granted those instruction sets, and no more than it can run.
run_as_processor() {
  QEMU_CPU=$1 FALLOW_TEST_ISAS=$2 qemu-aarch64 -L /usr/aarch64-linux-gnu \
    build/arm/tests/kernels/fallow_kernels_tests '[dispatch],[matmul],[quantize]'
}

stage_tidy() {
  cmake --workflow --preset tidy
}

stage_fuzz() {
  cmake --workflow --preset fuzz
  local fuzzer name found=0
  for fuzzer in build/fuzz/fuzzers/*; do
    [[ -x $fuzzer ]] || continue
    found=1
    name=$(basename "$fuzzer")
    mkdir -p "build/fuzz/corpus/$name" build/fuzz/artifacts
    local seeds=()
    [[ ! -d tests/fuzz/corpus/$name ]] || seeds=("tests/fuzz/corpus/$name")
    "$fuzzer" -seed=1 -max_total_time="${FUZZ_SECONDS:-10}" -timeout=10 -rss_limit_mb=2048 \
      -verbosity=0 -print_final_stats=1 -artifact_prefix="build/fuzz/artifacts/$name-" \
      "build/fuzz/corpus/$name" "${seeds[@]}"
  done
  ((found)) || { echo "no fuzzers"; return 1; }
}
