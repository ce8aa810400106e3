#!/usr/bin/env bash
# benchmarks/run.sh decode|prefill|batch|start|split|busy|kernels|petals [--json]
#
# Prints one line a figure: name, value, unit, the limit measured in the same run, their ratio.
# Works on a bare Debian 12 as root; builds what it needs below build/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<TEXT
usage: benchmarks/run.sh WHAT [--json]
  decode   tokens/s of one sequence, in one process
  prefill  tokens/s of prompts
  batch    tokens/s of several sequences at once
  start    from a program's start to its first token, with and without a cache; its memory
  split    one process against 1, 2 and 3 server processes on loopback
  busy     servers beside another one, a hog, a long prompt
  kernels  products and attention, in the model's shapes
  petals   three servers beside what Petals 2.2 was measured at
The model is SmolLM2-135M-Instruct, or the file that \$MODEL names.
TEXT
}

# build_program NAME: one of benchmarks/, as build/release/benchmarks/NAME.
build_program() {
  cmake --preset release >build/logs/benchmarks.log
  cmake --build --preset release --target "$1" >>build/logs/benchmarks.log ||
    { tail -n 50 build/logs/benchmarks.log >&2; return 1; }
}

# run_program NAME ARGUMENT...: builds and runs one of benchmarks/.
run_program() {
  build_program "$1"
  "build/release/benchmarks/$@"
}

# run_script NAME ARGUMENT...: runs one of benchmarks/swarm/ with the package installed.
run_script() {
  . tests/stages/python.sh
  install_package >build/logs/benchmarks.log
  build/venv/bin/python "benchmarks/swarm/$1.py" "${@:2}"
}

what=${1:-}
options=("${@:2}")
if [[ " decode prefill batch start split busy kernels petals " != *" $what "* || -z $what ||
      (${#options[@]} -gt 0 && ${options[*]} != --json) ]]; then
  usage >&2
  exit 2
fi
mkdir -p build/logs
cmake/install_dependencies.sh >&2
model=${MODEL:-$(bash examples/fetch_model.sh)}
case $what in
  decode | prefill | batch) run_program model_bench "$what" "$model" "${options[@]}" ;;
  kernels)
    run_program kernel_bench "${options[@]}"
    run_program attention_bench "${options[@]}"
    ;;
  start)
    build_program start_once
    python3 benchmarks/model/start.py build/release/benchmarks/start_once "$model" "${options[@]}"
    ;;
  split | busy | petals) run_script "$what" "$model" "${options[@]}" ;;
esac
