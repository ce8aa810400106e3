#include "tests/ptx/interpreter.h"

#include <cctype>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "tests/ptx/block.h"
#include "tests/ptx/parser.h"
#include "tests/ptx/symbols.h"

namespace fallow::ptx {
namespace {

// Such as any device has.
absl::Status CheckShape(const Kernel& kernel, const LaunchOptions& options) {
  const std::int64_t threads = options.block.Count();
  if (threads < 1 || threads > kernel.max_threads) {
    return absl::InvalidArgumentError(absl::StrCat(kernel.signature, ": block of ", threads,
                                                   " threads, expected 1 to ", kernel.max_threads));
  }
  if (options.grid.Count() < 1 || options.grid.y > 65535 || options.grid.z > 65535) {
    return absl::InvalidArgumentError(absl::StrCat(kernel.signature, ": grid of ", options.grid.x,
                                                   " x ", options.grid.y, " x ", options.grid.z));
  }
  return absl::OkStatus();
}

absl::Status CheckKnown(const Kernel& kernel) {
  for (const Instruction& instruction : kernel.code) {
    if (instruction.flow != Flow::kUnknown) continue;
    return absl::UnimplementedError(
        absl::StrCat("line ", instruction.line, ": ", instruction.mnemonic,
                     " is not known: ", instruction.source, " [", kernel.signature, "]"));
  }
  return absl::OkStatus();
}

// Whether `name` stands in the signature, and not as a part of a longer name.
bool Names(const std::string& signature, std::string_view name) {
  const auto is_letter = [&](std::size_t i) {
    return i < signature.size() &&
           (std::isalnum(static_cast<unsigned char>(signature[i])) || signature[i] == '_');
  };
  const std::size_t at = signature.find(name);
  return at != std::string::npos && !is_letter(at - 1) && !is_letter(at + name.size());
}

}  // namespace

absl::StatusOr<Module> Module::Load(std::string_view text) {
  Module module;
  FALLOW_ASSIGN_OR_RETURN(module.program_, Parse(text));
  for (auto& [name, storage] : module.program_.variables) {
    module.memory_.Add(storage.memory.data(), storage.bytes);
  }
  return module;
}

absl::StatusOr<Module> Module::LoadFile(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(path);
  std::stringstream text;
  text << file.rdbuf();
  return Load(text.str());
}

std::vector<std::string> Module::kernels() const {
  std::vector<std::string> names;
  for (const auto& [name, kernel] : program_.kernels) names.push_back(kernel->signature);
  return names;
}

absl::StatusOr<Kernel*> Module::Find(std::string_view name) const {
  Kernel* found = nullptr;
  for (const auto& [mangled, kernel] : program_.kernels) {
    if (!Names(kernel->signature, name)) continue;
    if (found != nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("'", std::string(name), "' may be ",
                                                     found->signature, " or ", kernel->signature));
    }
    found = kernel.get();
  }
  if (found != nullptr) return found;
  return absl::InvalidArgumentError(
      absl::StrCat("no kernel '", std::string(name), "' among ", absl::StrJoin(kernels(), ", ")));
}

absl::Status Module::LaunchArguments(std::string_view name, const LaunchOptions& options,
                                     std::span<const Argument> arguments) {
  FALLOW_ASSIGN_OR_RETURN(Kernel * kernel, Find(name));
  const std::size_t wanted = kernel->parameters.size();
  if (arguments.size() != wanted) {
    return absl::InvalidArgumentError(
        absl::StrCat(kernel->signature, ": ", arguments.size(), " arguments, expected ", wanted));
  }
  std::vector<const void*> pointers;
  for (std::size_t i = 0; i < wanted; ++i) {
    const auto bytes = static_cast<std::int64_t>(arguments[i].bytes);
    if (bytes != kernel->parameters[i].bytes) {
      return absl::InvalidArgumentError(absl::StrCat(kernel->signature, ": argument ", i, " of ",
                                                     bytes, " bytes, expected ",
                                                     kernel->parameters[i].bytes));
    }
    pointers.push_back(arguments[i].data);
  }
  return LaunchWith(name, options, pointers.data());
}

absl::Status Module::LaunchWith(std::string_view name, const LaunchOptions& options,
                                const void* const* arguments) {
  FALLOW_ASSIGN_OR_RETURN(Kernel * kernel, Find(name));
  FALLOW_RETURN_IF_ERROR(CheckShape(*kernel, options));
  FALLOW_RETURN_IF_ERROR(CheckKnown(*kernel));
  std::vector<std::byte> parameters(kernel->parameter_bytes);
  for (std::size_t i = 0; i < kernel->parameters.size(); ++i) {
    const Variable& parameter = kernel->parameters[i];
    std::memcpy(parameters.data() + parameter.offset, arguments[i], parameter.bytes);
  }
  return Run(*kernel, options, std::move(parameters));
}

absl::Status Module::LaunchFunction(const void* function, const LaunchOptions& options,
                                    const void* const* arguments) {
  FALLOW_ASSIGN_OR_RETURN(const std::string name, NameOfFunction(function));
  return LaunchWith(name, options, arguments);
}

absl::Status Module::Run(Kernel& kernel, const LaunchOptions& options,
                         std::vector<std::byte> parameters) {
  std::int64_t shared_bytes = kernel.shared_bytes;
  if (options.dynamic_shared_bytes > 0) {
    shared_bytes = kernel.DynamicSharedOffset() + options.dynamic_shared_bytes;
  }
  BlockMemory memory(kernel, memory_, std::move(parameters), shared_bytes,
                     static_cast<int>(options.block.Count()));
  Schedule schedule{options.seed, options.max_instructions};
  BlockPlace place{options.grid, options.block, {}, options.copies_land_late};
  for (std::int64_t i = 0; i < options.grid.Count(); ++i) {
    place.index.x = static_cast<unsigned>(i % options.grid.x);
    place.index.y = static_cast<unsigned>(i / options.grid.x % options.grid.y);
    place.index.z = static_cast<unsigned>(i / options.grid.x / options.grid.y);
    const std::string failure = Block(kernel, memory, place, schedule).Run();
    if (!failure.empty()) return absl::InternalError(absl::StrCat(kernel.signature, ": ", failure));
  }
  return absl::OkStatus();
}

std::vector<OpcodeCount> Module::Counts() const {
  std::map<std::string, OpcodeCount> by_mnemonic;
  for (const auto& [name, kernel] : program_.kernels) {
    for (const Instruction& instruction : kernel->code) {
      OpcodeCount& count = by_mnemonic[instruction.mnemonic];
      count.mnemonic = instruction.mnemonic;
      ++count.places;
      count.places_run += instruction.warp_runs > 0;
      count.warp_runs += instruction.warp_runs;
      count.lane_runs += instruction.lane_runs;
    }
  }
  std::vector<OpcodeCount> counts;
  for (auto& [mnemonic, count] : by_mnemonic) counts.push_back(std::move(count));
  return counts;
}

std::string Module::Report() const {
  std::string ran, never;
  for (const OpcodeCount& count : Counts()) {
    if (count.places_run == 0) {
      absl::StrAppendFormat(&never, "never ran: %s, at %d places\n", count.mnemonic, count.places);
    } else {
      absl::StrAppendFormat(&ran, "%12d warps %12d lanes, %d of %d places  %s\n", count.warp_runs,
                            count.lane_runs, count.places_run, count.places, count.mnemonic);
    }
  }
  return ran + never;
}

}  // namespace fallow::ptx
