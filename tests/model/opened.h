// A checkpoint with its family and spec.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "catch2/catch_test_macros.hpp"
#include "model/weights.h"

namespace fallow {

struct Opened {
  std::unique_ptr<Checkpoint> checkpoint;
  Family family;
  ModelSpec spec;

  absl::StatusOr<WeightRows> Matrix(const NumericClass& numeric_class, const std::string& slot,
                                    int block = 0) const {
    return ReadMatrix(*checkpoint, family, spec, numeric_class, slot, block);
  }
};

inline Opened Open(std::unique_ptr<Checkpoint> checkpoint) {
  const auto family = Family::For(*checkpoint);
  REQUIRE(family.ok());
  const auto spec = family->ReadSpec(*checkpoint);
  INFO(std::string(spec.status().message()));
  REQUIRE(spec.ok());
  return {std::move(checkpoint), *family, *spec};
}

}  // namespace fallow
