#!/usr/bin/env bash
# benchmarks/peers.sh [--quick] [--only FAMILY,...] [--json]
#
# fallow beside other engines, in turn, in one run. Fetches them from PyPI and builds them below
# build/peers/, once. An engine that cannot be prepared is listed with the reason; the others go on.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<TEXT
usage: benchmarks/peers.sh [--quick] [--only FAMILY,...] [--json]
  --quick  fewer rounds and sizes: minutes, not an hour
  --only   of llama.cpp, openvino, ctranslate2, transformers; fallow is always measured
  --json   a JSON object a line
A whole run writes benchmarks/results/peers-CPU.{json,svg}, any other one build/peers/results/.
TEXT
}

only=llama.cpp,openvino,ctranslate2,transformers
for ((i = 1; i <= $#; ++i)); do
  case ${!i} in
    --quick | --json) ;;
    --only) ((++i <= $#)) || { usage >&2; exit 2; }; only=${!i} ;;
    *) usage >&2; exit 2 ;;
  esac
done

peers=build/peers
venv=$peers/venv
mkdir -p $peers/{ready,failed,logs,models,sdist,results} benchmarks/results build/logs

# run_step NAME: calls the function, unless it succeeded before. Its output is in build/peers/logs/.
# Sets `status`. Not to be called in a condition: bash ignores set -e there.
run_step() {
  status=0
  [[ -e $peers/ready/$1 ]] && return
  echo "preparing: $1" >&2
  (set -e; "$1") >"$peers/logs/$1.log" 2>&1 </dev/null
  status=$?
  ((status)) || touch "$peers/ready/$1"
}

# prepare FAMILY STEP...: the steps in order; if one fails, what it said is kept as the reason.
prepare() {
  local family=$1 step
  rm -f "$peers/failed/$family"
  [[ ,$only, == *,$family,* ]] || return
  for step in "${@:2}"; do
    run_step "$step"
    ((status == 0)) && continue
    echo "$step: $(grep -v ^WARNING "$peers/logs/$step.log" | grep . | tail -n 1)" \
      >"$peers/failed/$family"
    return
  done
}

install() { "$1/bin/pip" install --quiet "${@:2}"; }

# --- what all peers need: an interpreter, and the model in their formats

python_packages() {
  python3 -m venv $venv
  install $venv torch==2.13.0 transformers==5.23.0 gguf==0.19.0 accelerate jinja2
}
hf_model() { $venv/bin/python benchmarks/peers/make_hf_model.py "$model" $peers/models/hf; }
gguf_models() { $venv/bin/python benchmarks/peers/make_gguf_models.py "$model" $peers/models; }

# --- llama.cpp, from the sources in llama-cpp-python

llama_sdist=$peers/sdist/llama_cpp_python-0.3.36

llama_sources() {
  $venv/bin/pip download --quiet --no-deps --no-binary llama-cpp-python \
    --dest $peers/sdist llama-cpp-python==0.3.36
  tar -xzf $llama_sdist.tar.gz -C $peers/sdist
  CMAKE_ARGS=-DLLAMA_BUILD=OFF install $venv $llama_sdist.tar.gz
}

# The options for what this processor has. Not GGML_NATIVE: it believes CPUID where it reports AMX
# although the system refuses it.
llama_cpu_options() {
  local flag
  for flag in avx512_vbmi:avx512vbmi avx512_vnni avx512_bf16 avx_vnni avx512:avx512f; do
    grep -qw "${flag#*:}" /proc/cpuinfo && echo "-DGGML_$(tr a-z A-Z <<<"${flag%:*}")=ON"
  done
  if g++ -O1 -o $peers/try_amx benchmarks/peers/try_amx.cc && $peers/try_amx; then
    echo -DGGML_AMX_TILE=ON -DGGML_AMX_INT8=ON
    ! grep -qw amx_bf16 /proc/cpuinfo || echo -DGGML_AMX_BF16=ON
  fi
}

# Twice, since whether OpenMP or threads of its own are faster differs: compare.py tries both.
llama_builds() {
  local openmp options
  mapfile -t options < <(llama_cpu_options | tr ' ' '\n')
  echo "${options[@]}"
  for openmp in ON OFF; do
    cmake -S $llama_sdist/vendor/llama.cpp -B $peers/llama-openmp-$openmp -G Ninja \
      -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=OFF -DGGML_OPENMP=$openmp "${options[@]}" \
      -DLLAMA_CURL=OFF -DLLAMA_BUILD_{COMMON,TESTS,TOOLS,EXAMPLES,SERVER,MTMD}=OFF
    cmake --build $peers/llama-openmp-$openmp --target llama --parallel "$(nproc)"
  done
}

# --- OpenVINO. Its exporter wants other versions of the same packages, so a place of its own.

openvino_packages() { install $venv openvino-genai==2026.4.1.0; }

openvino_exporter() {
  python3 -m venv $peers/export-venv
  install $peers/export-venv torch==2.13.0 optimum-intel==2.2.0 nncf==3.4.0 openvino==2026.4.1 \
    openvino-tokenizers==2026.4.1.0
  # Not needed for language models, and unless it is of torch's own build importing it fails.
  $peers/export-venv/bin/pip uninstall --quiet --yes torchvision
}

export_openvino() {
  $peers/export-venv/bin/optimum-cli export openvino --model $peers/models/hf \
    --task text-generation-with-past "${@:2}" $peers/models/"$1"
}
openvino_models() {
  export_openvino openvino-int4 --weight-format int4 --group-size 32 --sym --ratio 1.0
  export_openvino openvino-int8 --weight-format int8
}

# --- CTranslate2

ctranslate2_packages() { install $venv ctranslate2==4.8.5; }
ctranslate2_model() {
  $venv/bin/ct2-transformers-converter --model $peers/models/hf --quantization int8 --force \
    --output_dir $peers/models/ctranslate2-int8
}

# --- fallow, anew each time: its sources change

build_fallow() {
  . tests/stages/python.sh
  install_package && cmake --preset release && cmake --build --preset release --target model_bench
}

cmake/install_dependencies.sh >&2 || exit
model=$(bash examples/fetch_model.sh) || exit
build_fallow >build/logs/peers.log 2>&1 || { tail -n 50 build/logs/peers.log >&2; exit 1; }

only+=,fallow
prepare fallow python_packages gguf_models  # one of its variants reads another file
prepare llama.cpp python_packages gguf_models llama_sources llama_builds
prepare openvino python_packages hf_model openvino_packages openvino_exporter openvino_models
prepare ctranslate2 python_packages hf_model ctranslate2_packages ctranslate2_model
prepare transformers python_packages hf_model
exec build/venv/bin/python benchmarks/peers/compare.py "$model" "$@"
