// The directory of packed weights, for `fallow cache`.

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "bindings.h"
#include "errors.h"
#include "model/cache_files.h"
#include "model/weight_cache.h"

namespace fallow::python {
namespace {

namespace py = pybind11;

std::string Problem(const absl::Status& status) { return std::string(status.message()); }

py::list List(const std::string& directory) {
  auto entries = [&] {
    const py::gil_scoped_release unlocked;
    return ListCache(directory);
  }();
  py::list result;
  for (const CacheEntry& entry : OrRaise(std::move(entries))) {
    py::dict item;
    item["key"] = entry.key;
    item["model"] = entry.model;
    item["checkpoint"] = entry.checkpoint;
    item["part"] = entry.part;
    item["type"] = entry.types;
    item["bytes"] = entry.bytes;
    item["last_used"] = absl::ToDoubleSeconds(entry.last_used - absl::UnixEpoch());
    item["problem"] = Problem(entry.status);
    result.append(item);
  }
  return result;
}

using Problems = std::vector<std::pair<std::string, std::string>>;

// Keys of the files that are damaged, and what is wrong with each.
absl::StatusOr<Problems> FindDamage(const std::string& directory) {
  FALLOW_ASSIGN_OR_RETURN(const std::vector<CacheEntry> entries, ListCache(directory));
  Problems problems;
  for (const CacheEntry& entry : entries) {
    const absl::Status status = VerifyEntry(entry);
    if (!status.ok()) problems.emplace_back(entry.key, Problem(status));
  }
  return problems;
}

absl::StatusOr<bool> Remove(const std::string& directory, const std::vector<std::string>& keys) {
  FALLOW_ASSIGN_OR_RETURN(const std::vector<CacheEntry> entries, ListCache(directory));
  for (const CacheEntry& entry : entries) {
    if (std::find(keys.begin(), keys.end(), entry.key) == keys.end()) continue;
    FALLOW_RETURN_IF_ERROR(RemoveEntry(entry));
  }
  return true;
}

}  // namespace

void AddCache(py::module_& module) {
  module.def(
      "cache_directory", [](const std::string& option) { return OrRaise(CacheDirectory(option)); },
      py::arg("option"));
  module.def("cache_list", &List, py::arg("directory"));
  module.def(
      "cache_verify",
      [](const std::string& directory) {
        auto problems = [&] {
          const py::gil_scoped_release unlocked;
          return FindDamage(directory);
        }();
        return OrRaise(std::move(problems));
      },
      py::arg("directory"));
  module.def(
      "cache_remove",
      [](const std::string& directory, const std::vector<std::string>& keys) {
        OrRaise(Remove(directory, keys));
      },
      py::arg("directory"), py::arg("keys"));
  module.def(
      "cache_clear", [](const std::string& directory) { return OrRaise(ClearCache(directory)); },
      py::arg("directory"));
}

}  // namespace fallow::python
