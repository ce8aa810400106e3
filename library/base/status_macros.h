// Early return on errors, the only control-flow macros of the library.
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define FALLOW_RETURN_IF_ERROR(expr)                                \
  do {                                                              \
    if (absl::Status fallow_status = (expr); !fallow_status.ok()) { \
      return fallow_status;                                         \
    }                                                               \
  } while (false)

#define FALLOW_CONCAT_INNER(a, b) a##b
#define FALLOW_CONCAT(a, b) FALLOW_CONCAT_INNER(a, b)

// FALLOW_ASSIGN_OR_RETURN(auto x, MakeX());
#define FALLOW_ASSIGN_OR_RETURN(lhs, expr) \
  FALLOW_ASSIGN_OR_RETURN_INNER(FALLOW_CONCAT(fallow_statusor_, __LINE__), lhs, expr)

#define FALLOW_ASSIGN_OR_RETURN_INNER(result, lhs, expr) \
  auto result = (expr);                                  \
  if (!result.ok()) return result.status();              \
  lhs = std::move(result).value()
