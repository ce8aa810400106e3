// What a checkpoint file says, without running it.

#include "model/checkpoint.h"

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "bindings.h"
#include "errors.h"
#include "model/spec.h"
#include "model/weights.h"
#include "nlohmann/json.hpp"
#include "spec.h"

namespace fallow::python {
namespace {

namespace py = pybind11;
using nlohmann::json;

struct Digests {
  std::string manifest;
  std::string ends;
  std::vector<std::string> blocks;
};

struct Inspection {
  ModelSpec spec;
  std::string numeric_class;
  std::vector<StoredTensor> tensors;
  std::optional<Digests> digests;
};

absl::StatusOr<Digests> ComputeDigests(const Checkpoint& checkpoint, const Family& family,
                                       const ModelSpec& spec) {
  FALLOW_ASSIGN_OR_RETURN(const Digest manifest, ManifestDigest(checkpoint, family, spec));
  FALLOW_ASSIGN_OR_RETURN(const Digest ends, EndsDigest(checkpoint, family, spec));
  Digests digests{.manifest = Hex(manifest), .ends = Hex(ends), .blocks = {}};
  for (int block = 0; block < spec.num_blocks; ++block) {
    FALLOW_ASSIGN_OR_RETURN(const Digest digest, BlockDigest(checkpoint, family, spec, block));
    digests.blocks.push_back(Hex(digest));
  }
  return digests;
}

absl::StatusOr<ModelSpec> ReadSpec(const std::string& path) {
  FALLOW_ASSIGN_OR_RETURN(const auto checkpoint, Checkpoint::Open(path));
  FALLOW_ASSIGN_OR_RETURN(const Family family, Family::For(*checkpoint));
  return family.ReadSpec(*checkpoint);
}

absl::StatusOr<Inspection> Inspect(const Checkpoint& checkpoint, bool digests) {
  Inspection result;
  FALLOW_ASSIGN_OR_RETURN(const Family family, Family::For(checkpoint));
  FALLOW_ASSIGN_OR_RETURN(result.spec, family.ReadSpec(checkpoint));
  FALLOW_ASSIGN_OR_RETURN(const NumericClass chosen,
                          NumericClass::Choose("auto", "auto", checkpoint));
  result.numeric_class = chosen.ToString();
  for (const std::string& name : checkpoint.tensor_names()) {
    FALLOW_ASSIGN_OR_RETURN(StoredTensor tensor, checkpoint.Find(name));
    result.tensors.push_back(std::move(tensor));
  }
  if (digests) {
    FALLOW_ASSIGN_OR_RETURN(result.digests, ComputeDigests(checkpoint, family, result.spec));
  }
  return result;
}

py::dict InspectionToPython(const Inspection& inspection) {
  py::list tensors;
  for (const StoredTensor& tensor : inspection.tensors) {
    py::dict entry;
    entry["name"] = tensor.name;
    entry["type"] = std::string(Name(tensor.type));
    entry["shape"] = tensor.shape;
    entry["bytes"] = tensor.bytes.size();
    tensors.append(entry);
  }
  py::dict result;
  result["spec"] = SpecToPython(inspection.spec);
  result["numeric_class"] = inspection.numeric_class;
  result["tensors"] = tensors;
  if (inspection.digests) {
    py::dict digests;
    digests["manifest"] = inspection.digests->manifest;
    digests["ends"] = inspection.digests->ends;
    digests["blocks"] = inspection.digests->blocks;
    result["digests"] = digests;
  }
  return result;
}

py::dict InspectPath(const std::string& path, bool digests) {
  std::unique_ptr<Checkpoint> checkpoint;  // outlives the tensors, which point into it
  auto inspection = [&]() -> absl::StatusOr<Inspection> {
    const py::gil_scoped_release unlocked;
    FALLOW_ASSIGN_OR_RETURN(checkpoint, Checkpoint::Open(path));
    return Inspect(*checkpoint, digests);
  }();
  return InspectionToPython(OrRaise(std::move(inspection)));
}

py::object JsonToPython(const json& value) {
  switch (value.type()) {
    case json::value_t::object: {
      py::dict result;
      for (const auto& [key, entry] : value.items()) result[key.c_str()] = JsonToPython(entry);
      return result;
    }
    case json::value_t::array: {
      py::list result(value.size());
      for (std::size_t i = 0; i < value.size(); ++i) result[i] = JsonToPython(value[i]);
      return result;
    }
    case json::value_t::string: {  // any bytes
      const auto& text = value.get_ref<const std::string&>();
      return py::reinterpret_steal<py::object>(PyUnicode_DecodeUTF8(
          text.data(), static_cast<Py_ssize_t>(text.size()), /*errors=*/"replace"));
    }
    case json::value_t::boolean:
      return py::bool_(value.get<bool>());
    case json::value_t::number_integer:
      return py::int_(value.get<std::int64_t>());
    case json::value_t::number_unsigned:
      return py::int_(value.get<std::uint64_t>());
    case json::value_t::number_float:
      return py::float_(value.get<double>());
    default:
      return py::none();
  }
}

py::object TokenizerOf(const std::string& path) {
  auto tokenizer = [&]() -> absl::StatusOr<json> {
    const py::gil_scoped_release unlocked;
    FALLOW_ASSIGN_OR_RETURN(const auto checkpoint, Checkpoint::Open(path));
    return checkpoint->tokenizer();
  }();
  return JsonToPython(OrRaise(std::move(tokenizer)));
}

}  // namespace

void AddCheckpoint(py::module_& module) {
  module.def("inspect", &InspectPath, py::arg("path"), py::arg("digests"));
  module.def("gguf_tokenizer", &TokenizerOf, py::arg("path"));
  module.def(
      "read_spec",
      [](const std::string& path) {
        auto spec = [&] {
          const py::gil_scoped_release unlocked;
          return ReadSpec(path);
        }();
        return SpecToPython(OrRaise(std::move(spec)));
      },
      py::arg("path"));
}

}  // namespace fallow::python
