# The stage that uses the library as another project would.

# install_and_use KIND SHARED: installs the library, then builds and runs the example.
install_and_use() {
  local kind=$1 prefix=$PWD/build/prefix-$1
  rm -rf "$prefix"
  cmake -S . -B "build/library-$kind" -G Ninja -D BUILD_SHARED_LIBS="$2" \
    -D CMAKE_BUILD_TYPE=Release -D FALLOW_TESTS=OFF
  cmake --build "build/library-$kind" --target fallow
  cmake --install "build/library-$kind" --prefix "$prefix" --component development
  cmake -S examples/cpp_service -B "build/example-$kind" -G Ninja -D CMAKE_PREFIX_PATH="$prefix"
  cmake --build "build/example-$kind"
  "build/example-$kind/cpp_service" "$(tiny_checkpoint)" 1 2 3
}

# Some small model of the golden tests.
tiny_checkpoint() {
  local config
  config=$(find tests/golden -name config.json | sort | head -n 1)
  dirname "${config:?no checkpoint below tests/golden}"
}

stage_consumer() {
  install_and_use static OFF
  install_and_use shared ON
}
