#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings.h"
#include "call_python.h"
#include "errors.h"
#include "fallow/distributed_model.h"
#include "options.h"
#include "spec.h"

namespace fallow::python {
namespace {

namespace py = pybind11;

const char* Name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStopToken:
      return "stop_token";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCallback:
      return "callback";
  }
  return "";
}

py::list RouteToPython(const std::vector<RouteHop>& route) {
  py::list hops;
  for (const RouteHop& hop : route) {
    py::dict entry;
    entry["peer"] = hop.peer.ToString();
    entry["address"] = hop.address;
    entry["begin"] = hop.blocks.begin;
    entry["end"] = hop.blocks.end;
    entry["milliseconds_per_token"] = hop.milliseconds_per_token;
    hops.append(entry);
  }
  return hops;
}

py::dict GenerationToPython(const Generation& generation) {
  py::list finish;
  for (const FinishReason reason : generation.finish) finish.append(Name(reason));
  py::list recoveries;
  for (const Recovery& recovery : generation.recoveries) {
    py::dict entry;
    entry["blamed"] = recovery.blamed.ToString();
    entry["reason"] = recovery.reason;
    entry["pause_seconds"] = absl::ToDoubleSeconds(recovery.pause);
    recoveries.append(entry);
  }
  py::dict result;
  result["tokens"] = generation.tokens;
  result["finish"] = finish;
  result["prefill_tokens_per_second"] = generation.prefill_tokens_per_second;
  result["decode_tokens_per_second"] = generation.decode_tokens_per_second;
  result["route"] = RouteToPython(generation.route);
  result["recoveries"] = recoveries;
  return result;
}

std::shared_ptr<DistributedModel> Load(const py::dict& given) {
  auto options = OptionsFrom<DistributedModel::Options>(given);
  auto model = [&] {
    const py::gil_scoped_release unlocked;
    return DistributedModel::Load(std::move(options));
  }();
  return {OrRaise(std::move(model)).release(), UnlockedDelete()};
}

py::dict GenerateBatch(DistributedModel& model, const std::vector<std::vector<TokenId>>& prompts,
                       const py::dict& given, const py::object& on_token) {
  const auto options = OptionsFrom<GenerateOptions>(given);
  PendingError error;
  auto generation = [&] {
    const py::gil_scoped_release unlocked;
    return model.GenerateBatch(prompts, options, [&](int prompt, TokenId token) {
      return CallPython(on_token, prompt, token, error);
    });
  }();
  error.Rethrow();
  return GenerationToPython(OrRaise(std::move(generation)));
}

// An array [rows, columns] that owns `values`, without a copy.
py::array_t<float> ToArray(std::vector<float> values, py::ssize_t rows, py::ssize_t columns) {
  auto owner = std::make_unique<std::vector<float>>(std::move(values));
  float* const data = owner->data();
  const py::capsule release(owner.release(),
                            [](void* owned) { delete static_cast<std::vector<float>*>(owned); });
  return py::array_t<float>({rows, columns}, data, release);
}

py::array_t<float> Logits(DistributedModel& model, const std::vector<TokenId>& prompt) {
  auto logits = [&] {
    const py::gil_scoped_release unlocked;
    return model.Logits(prompt);
  }();
  return ToArray(OrRaise(std::move(logits)), static_cast<py::ssize_t>(prompt.size()),
                 model.spec().vocab_size);
}

py::dict GenerateInSession(Session& session, const std::vector<TokenId>& prompt,
                           const py::dict& given, const py::object& on_token) {
  const auto options = OptionsFrom<GenerateOptions>(given);
  PendingError error;
  auto generation = [&] {
    const py::gil_scoped_release unlocked;
    return session.Generate(prompt, options, [&](TokenId token) {
      return CallPython(on_token, /*prompt=*/0, token, error);
    });
  }();
  error.Rethrow();
  return GenerationToPython(OrRaise(std::move(generation)));
}

std::shared_ptr<Session> Share(absl::StatusOr<std::unique_ptr<Session>> session) {
  return {OrRaise(std::move(session)).release(), UnlockedDelete()};
}

}  // namespace

void AddModel(py::module_& module) {
  module.def("model_defaults", &Defaults<DistributedModel::Options>);
  module.def("generate_defaults", &Defaults<GenerateOptions>);

  py::class_<DistributedModel, std::shared_ptr<DistributedModel>>(module, "Model")
      .def(py::init(&Load), py::arg("options"))
      .def("spec", [](const DistributedModel& model) { return SpecToPython(model.spec()); })
      .def("numeric_class",
           [](DistributedModel& model) {
             auto name = [&] {
               const py::gil_scoped_release unlocked;
               return model.numeric_class();
             }();
             return OrRaise(std::move(name));
           })
      .def("route", [](const DistributedModel& model) { return RouteToPython(model.route()); })
      .def("generate", &GenerateBatch, py::arg("prompts"), py::arg("options"),
           py::arg("on_token") = py::none())
      .def("logits", &Logits, py::arg("prompt"))
      .def("open_session", [](DistributedModel& model) {
        auto session = [&] {
          const py::gil_scoped_release unlocked;
          return model.OpenSession();
        }();
        return Share(std::move(session));
      });

  py::class_<Session, std::shared_ptr<Session>>(module, "Session")
      .def("tokens", [](const Session& session) { return session.tokens(); })
      .def("generate", &GenerateInSession, py::arg("prompt"), py::arg("options"),
           py::arg("on_token") = py::none())
      .def(
          "rewind",
          [](Session& session, std::int64_t length) {
            const auto status = [&] {
              const py::gil_scoped_release unlocked;
              return session.Rewind(length);
            }();
            OrRaise(status);
          },
          py::arg("length"))
      .def("fork", [](Session& session) {
        auto fork = [&] {
          const py::gil_scoped_release unlocked;
          return session.Fork();
        }();
        return Share(std::move(fork));
      });
}

}  // namespace fallow::python
