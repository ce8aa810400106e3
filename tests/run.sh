#!/usr/bin/env bash
# tests/run.sh [--live] [--long] [stage ...]: the tests. Without stages it runs those of every change.
#
# Works on a bare Debian 12 as root: installs what is missing first. What was fetched or built once
# stays below build/, so a second run needs no network. Logs lie in build/logs/.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
for file in tests/stages/*.sh; do . "$file"; done

all_stages=(lint dev python asan tsan arm tidy fuzz wheel consumer cuda)
focused_stages=(hf identity kill matrix)

usage() {
  cat <<TEXT
usage: tests/run.sh [--live] [--long] [stage ...]
of every change:
  lint      include order, public headers, compiler flags, formatting, list of skips
  dev       optimised build without warnings; all C++ tests
  python    the package, installed by pip into build/venv, and its tests
  asan      the same tests under AddressSanitizer and UndefinedBehaviorSanitizer
  tsan      the folders that have threads under ThreadSanitizer
  arm       the kernels cross-compiled for 64-bit ARM, and their tests in an emulator
  tidy      clang: portability and lock annotations
  fuzz      each fuzzer for \$FUZZ_SECONDS (10)
  wheel     a wheel that carries its libraries, with Debian's hidden
  consumer  examples/cpp_service against an installed library, static and shared
  cuda      the CUDA kernels in an emulator, checked; where there is nvcc, its PTX of them
            interpreted, and its machine code held to budgets; with --long in other orders of
            threads too, and with shapes of whole models
on request, one question each (some of their tests are part of dev too):
  hf        logits and tokens of a real model are those of Hugging Face transformers;
            with --live of transformers run here and now, by torch in build/hf-venv: 20 minutes
  identity  the same bits however a model is cut, served, asked and computed
  kill      no token changes when peers are killed or stopped: simulated, then real processes
  matrix    builds without CUDA, with nvcc of \$PATH and with that of PyPI's wheels pass the same tests,
            and one program runs on the library of each
TEXT
}

# Runs one stage in a shell of its own. A lone stage is watched, of several only failures are shown.
# Not to be called in a condition: bash ignores set -e there, and a stage would outlive its failures.
run_stage() {
  local stage=$1 log=build/logs/$1.log status
  if ((${#stages[@]} == 1)); then
    (set -e; "stage_$stage") 2>&1 </dev/null | tee "$log"
    status=${PIPESTATUS[0]}
  else
    (set -e; "stage_$stage") >"$log" 2>&1 </dev/null
    status=$?
    ((status == 0)) || tail -n 100 "$log"
  fi
  return "$status"
}

stages=()
live=0
long=0
for argument in "$@"; do
  case $argument in
    --live) live=1 ;;
    --long) long=1 ;;
    *) stages+=("$argument") ;;
  esac
done
if ((live)) && [[ " ${stages[*]} " != *" hf "* ]]; then
  echo "--live is for the stage hf" >&2
  exit 2
fi
if ((long)) && [[ " ${stages[*]} " != *" cuda "* ]]; then
  echo "--long is for the stage cuda" >&2
  exit 2
fi
((${#stages[@]})) || stages=("${all_stages[@]}")
for stage in "${stages[@]}"; do
  if [[ " ${all_stages[*]} ${focused_stages[*]} " != *" $stage "* ]]; then
    usage >&2
    exit 2
  fi
done

cmake/install_dependencies.sh --tests || exit 1
mkdir -p build/logs
export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
export CTEST_PARALLEL_LEVEL=${CTEST_PARALLEL_LEVEL:-$(nproc)}
# What pip built is found in the cache if the compiler had the same name: Python's is another.
export CXX=${CXX:-c++}

passed=0
failed=0
table=""
for stage in "${stages[@]}"; do
  echo "== $stage"
  start=$SECONDS
  run_stage "$stage"
  if (($? == 0)); then
    result=passed
    passed=$((passed + 1))
  else
    result=FAILED
    failed=$((failed + 1))
  fi
  table+=$(printf '%-10s %-8s %5d s' "$stage" $result $((SECONDS - start)))$'\n'
done
printf '\n%s\n%d passed, %d failed\n' "$table" "$passed" "$failed"
((failed == 0))
