// What the tests of nvcc's PTX share.
#pragma once

#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/ptx/interpreter.h"

namespace fallow::ptx {

// 75 has neither cp.async nor the larger mma.
inline constexpr int kArchitectures[] = {75, 80, 90, 120};

// The PTX of kernels/<name>.cu.
inline Module LoadKernels(const std::string& name, int architecture) {
  absl::StatusOr<Module> module =
      Module::LoadFile(absl::StrCat(FALLOW_PTX_DIR, "/", name, ".", architecture, ".ptx"));
  INFO(name << " for " << architecture << ": " << module.status());
  REQUIRE(module.ok());
  return *std::move(module);
}

template <typename T>
void AddInput(Module& module, const std::vector<T>& x) {
  module.memory().AddReadOnly(x.data(), static_cast<std::int64_t>(x.size() * sizeof(T)));
}

template <typename T>
void AddOutput(Module& module, std::vector<T>& x) {
  module.memory().Add(x.data(), static_cast<std::int64_t>(x.size() * sizeof(T)));
}

// A grid that gives each of n numbers a thread, some to spare.
inline LaunchOptions ThreadsFor(std::int64_t n) {
  return {.grid = {static_cast<unsigned>(n / 96 + 1)}, .block = {96}};
}

// Whether the text has instructions of that opcode and all of them ran.
inline bool RanAll(const Module& module, const std::string& opcode) {
  int places = 0;
  int places_run = 0;
  for (const OpcodeCount& count : module.Counts()) {
    if (count.mnemonic != opcode && count.mnemonic.rfind(opcode + ".", 0) != 0) continue;
    places += count.places;
    places_run += count.places_run;
  }
  return places > 0 && places_run == places;
}

}  // namespace fallow::ptx
