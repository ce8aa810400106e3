# The stage of builds with and without CUDA: the same tests pass, and programs cannot tell.

stage_matrix() {
  local with_nvcc=$PATH found
  unset CUDA_HOME CUDA_PATH
  found=$(command -v nvcc) || true
  PATH=$(path_without_nvcc)
  build_row none -D FALLOW_CUDA=OFF
  cmake -S examples/cpp_service -B build/matrix/example -G Ninja \
    -D CMAKE_PREFIX_PATH="$PWD/build/matrix/none/prefix"
  cmake --build build/matrix/example
  use_row none
  if [[ $found ]]; then
    PATH=$with_nvcc build_row path -D FALLOW_CUDA=ON
    compare_row path
  else
    echo "path: left out, there is no nvcc on PATH"
  fi
  make_wheels_venv
  PATH=$PWD/build/matrix/venv/bin:$PATH build_row wheels -D FALLOW_CUDA=ON
  compare_row wheels
}

# The search path with nvcc hidden: its folder is replaced by links to all else in it.
path_without_nvcc() {
  local links=$PWD/build/matrix/links folder kept=
  rm -rf "$links"
  mkdir -p "$links"
  while IFS= read -r -d : folder; do
    if [[ -x $folder/nvcc ]]; then
      ln -sf "$folder"/* "$links"
      rm "$links/nvcc"
      folder=$links
    fi
    kept+=$folder:
  done <<<"$PATH:"
  echo "${kept%:}"
}

# CUDA's compiler as README.md says, and a CMake that knows it.
make_wheels_venv() {
  local venv=build/matrix/venv
  [[ -x $venv/bin/cmake ]] && return
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet cmake \
    nvidia-cuda-{nvcc,crt,runtime,cccl}==13.0.* nvidia-nvvm==13.0.*
}

# build_row NAME OPTION...: builds, tests and installs a row. Its folder lies as deep as build/dev: so
# ccache sees the same commands.
build_row() {
  local name=$1 build=build/matrix-$1 row=build/matrix/$1
  mkdir -p "$row"
  echo "== $name: nvcc is $(cmake -P cmake/FindNvcc.cmake)"
  cmake --preset dev -B "$build" -D BUILD_SHARED_LIBS=ON "${@:2}"
  cmake --build "$build"
  ctest --test-dir "$build" --no-tests=error --output-on-failure
  ctest --test-dir "$build" --show-only | sed -n 's/^ *Test *#[0-9]*: //p' >"$row/tests"
  rm -rf "$row/prefix"
  cmake --install "$build" --prefix "$PWD/$row/prefix" --component development
}

# use_row NAME: runs the example, which was built with the row none, on the library of a row.
use_row() {
  local row=build/matrix/$1 library
  library=$(dirname "$(find "$row/prefix" -name libfallow.so)")
  LD_LIBRARY_PATH=$library ldd build/matrix/example/cpp_service | grep --fixed-strings "$row/prefix"
  LD_LIBRARY_PATH=$library build/matrix/example/cpp_service "$(tiny_checkpoint)" 1 2 3 \
    >"$row/output"
  cat "$row/output"
  sed -n 2p "$row/output" >"$row/tokens"
}

# compare_row NAME: it has the tests and the headers of the row none, and its library takes the other
# one's place.
compare_row() {
  local row=build/matrix/$1 none=build/matrix/none
  diff "$none/tests" "$row/tests"
  diff -r "$none/prefix/include" "$row/prefix/include"
  use_row "$1"
  cmp "$none/tokens" "$row/tokens"
}
