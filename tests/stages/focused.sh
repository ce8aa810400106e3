# The stages that answer one question each: tests of the dev build by tag, then the real model.

# run_tagged TAGS: the test cases of the dev build that match such as [hf]~[wire]; at least one must.
run_tagged() {
  cmake --preset dev
  cmake --build --preset dev
  local program found=0
  for program in build/dev/tests/*/fallow_*_tests; do
    [[ -n $("$program" --list-tests "$1" --verbosity quiet) ]] || continue
    found=1
    "$program" "$1" --durations yes
  done
  ((found)) || { echo "no test has the tags $1"; return 1; }
}

# With --live the reference is made anew by torch and transformers, and the committed one not read.
stage_hf() {
  local model reference=tests/hf
  model=$(bash examples/fetch_model.sh)
  run_tagged '[hf]'
  if ((live)); then
    reference=build/hf
    make_hf_venv
    mkdir -p "$reference"
    build/hf-venv/bin/python tests/hf/make_reference.py --output "$reference" "$model"
  fi
  build/dev/tests/hf/hf_check "$model" "$reference/smollm2.safetensors"
}

make_hf_venv() {
  local wanted=(torch==2.13.0 transformers==5.23.0 gguf==0.19.0 accelerate)
  [[ -x build/hf-venv/bin/python ]] || python3 -m venv build/hf-venv
  build/hf-venv/bin/pip install --quiet "${wanted[@]}"
}

stage_identity() {
  FALLOW_TEST_MODEL=$(bash examples/fetch_model.sh)
  export FALLOW_TEST_MODEL
  run_tagged '[identity]~[wire]'  # there an identity is a peer's key
}

# A simulated swarm at every step, then processes of `fallow serve`, whose pauses are printed.
stage_kill() {
  local model
  model=$(bash examples/fetch_model.sh)
  run_tagged '[kill]'
  install_package
  build/venv/bin/python tests/kill/real_processes.py "$model" build/logs/kill-servers.log
}
