// Option structs from keyword dicts and back. Each field is named once, here; tests compare these
// names and defaults with the public headers and with the signatures of the package.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "fallow/block_server.h"
#include "fallow/distributed_model.h"
#include "fallow/profile.h"
#include "fallow/session.h"

namespace fallow::python {

// Calls visit(name, field) for each option but the hooks (gate, payer), which are C++ objects.
template <typename Visit>
void VisitFields(BlockServer::Options& options, Visit visit) {
  visit("checkpoint", options.checkpoint);
  visit("blocks", options.blocks);
  visit("listen", options.listen);
  visit("identity", options.identity);
  visit("insecure", options.insecure);
  visit("numeric_class", options.numeric_class);
  visit("weights", options.weights);
  visit("threads", options.threads);
  visit("device", options.device);
  visit("max_sessions", options.max_sessions);
  visit("kv_memory", options.kv_memory);
  visit("cache", options.cache);
  visit("max_outbox", options.max_outbox);
  visit("announce", options.announce);
  visit("grace", options.grace);
  visit("idle_timeout", options.idle_timeout);
}

template <typename Visit>
void VisitFields(DistributedModel::Options& options, Visit visit) {
  visit("checkpoint", options.checkpoint);
  visit("peers", options.peers);
  visit("identity", options.identity);
  visit("insecure", options.insecure);
  visit("numeric_class", options.numeric_class);
  visit("weights", options.weights);
  visit("threads", options.threads);
  visit("device", options.device);
  visit("kv_memory", options.kv_memory);
  visit("cache", options.cache);
  visit("connect_timeout", options.connect_timeout);
}

template <typename Visit>
void VisitFields(ProfileOptions& options, Visit visit) {
  visit("checkpoint", options.checkpoint);
  visit("blocks", options.blocks);
  visit("numeric_class", options.numeric_class);
  visit("weights", options.weights);
  visit("threads", options.threads);
  visit("prompt_tokens", options.prompt_tokens);
  visit("new_tokens", options.new_tokens);
}

template <typename Visit>
void VisitFields(GenerateOptions& options, Visit visit) {
  visit("max_new_tokens", options.max_new_tokens);
  visit("stop_tokens", options.stop_tokens);
  visit("ignore_end_tokens", options.ignore_end_tokens);
  visit("end_mode", options.end_mode);
  SamplingOptions& sampling = options.sampling;
  visit("do_sample", sampling.do_sample);
  visit("temperature", sampling.temperature);
  visit("top_k", sampling.top_k);
  visit("top_p", sampling.top_p);
  visit("min_p", sampling.min_p);
  visit("typical_p", sampling.typical_p);
  visit("repetition_penalty", sampling.repetition_penalty);
  visit("frequency_penalty", sampling.frequency_penalty);
  visit("presence_penalty", sampling.presence_penalty);
  visit("bad_words", sampling.bad_words);
  visit("seed", sampling.seed);
}

// Durations are seconds, ranges of blocks pairs (begin, end), end modes "ring" or "private".
template <typename T>
pybind11::object ToPython(const T& value) {
  return pybind11::cast(value);
}
pybind11::object ToPython(absl::Duration value);
pybind11::object ToPython(const BlockRange& value);
pybind11::object ToPython(EndMode value);

// Each throws pybind11::cast_error where `value` has another type or does not fit.
template <typename T>
void FromPython(pybind11::handle value, T& field) {
  field = value.cast<T>();
}
void FromPython(pybind11::handle value, absl::Duration& field);
void FromPython(pybind11::handle value, BlockRange& field);
void FromPython(pybind11::handle value, EndMode& field);

[[noreturn]] void ThrowBadOption(const char* name, pybind11::handle value);
[[noreturn]] void ThrowUnknownOption(const pybind11::dict& given, const pybind11::dict& known);

template <typename Options>
pybind11::dict Defaults() {
  Options options;
  pybind11::dict defaults;
  VisitFields(options,
              [&](const char* name, const auto& field) { defaults[name] = ToPython(field); });
  return defaults;
}

// TypeError names an option that is unknown or has the wrong type.
template <typename Options>
Options OptionsFrom(const pybind11::dict& given) {
  Options options;
  std::size_t used = 0;
  VisitFields(options, [&](const char* name, auto& field) {
    if (!given.contains(name)) return;
    ++used;
    try {
      FromPython(given[name], field);
    } catch (const pybind11::cast_error&) {
      ThrowBadOption(name, given[name]);
    }
  });
  if (used != given.size()) ThrowUnknownOption(given, Defaults<Options>());
  return options;
}

}  // namespace fallow::python
