#include "kernels/cuda/emulator/findings.h"

#include <dlfcn.h>

#include <cstdio>
#include <map>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/cuda/emulator/device.h"

namespace fallow::cuda::emulator {
namespace {

struct Log {
  std::mutex mutex;
  std::map<std::pair<std::string, std::string>, Finding> findings;  // by kind and line
  std::map<const void*, std::string> lines;
};

Log& TheLog() {
  static Log* const log = new Log;  // outlives every thread
  return *log;
}

constinit thread_local std::int64_t reports = 0;

bool IsKernelSource(const std::string& frame) {
  for (const char* not_kernel : {"/cuda/emulator/", "/cuda/portable.cuh", "/include/c++/", "??"}) {
    if (frame.find(not_kernel) != std::string::npos) return false;
  }
  return true;
}

std::string WithoutFolder(std::string frame) {
  frame.erase(0, frame.rfind('/') + 1);
  return frame.substr(0, frame.find(' '));
}

// The innermost of the functions inlined at the address that is not the emulator's.
std::string AskAddr2line(const Dl_info& object, const void* address) {
  const auto offset = static_cast<const char*>(address) - static_cast<char*>(object.dli_fbase);
  const std::string command = absl::StrCat("addr2line -i -e '", object.dli_fname, "' 0x",
                                           absl::Hex(offset - 1), " 2>/dev/null");
  std::string line;
  if (FILE* output = popen(command.c_str(), "r")) {
    char frame[1000];
    while (std::fgets(frame, sizeof frame, output)) {
      std::string text(frame);
      text.erase(text.find_last_not_of('\n') + 1);
      if (line.empty() && IsKernelSource(text)) line = WithoutFolder(text);
    }
    pclose(output);
  }
  return line;
}

}  // namespace

std::string SourceLine(const void* return_address) {
  Log& log = TheLog();
  const std::lock_guard lock(log.mutex);
  auto [at, is_new] = log.lines.try_emplace(return_address);
  if (is_new) {
    Dl_info object{};
    if (dladdr(return_address, &object) && object.dli_fbase) {
      at->second = AskAddr2line(object, return_address);
    }
    if (at->second.empty()) at->second = absl::StrCat("0x", absl::Hex(return_address));
  }
  return at->second;
}

void Report(const char* kind, const void* return_address, const std::string& text) {
  ReportAt(kind, SourceLine(return_address), text);
}

void ReportAt(const char* kind, const std::string& line, const std::string& text) {
  const auto print = [](const uint3& i) { return absl::StrCat(i.x, ",", i.y, ",", i.z); };
  ++reports;
  Log& log = TheLog();
  const std::lock_guard lock(log.mutex);
  Finding& finding = log.findings[{kind, line}];
  if (++finding.count > 1) return;
  finding.kind = kind;
  finding.line = line;
  finding.text = absl::StrCat(text, " (block ", print(builtins.block), ", thread ",
                              print(builtins.thread), ")");
}

std::vector<Finding> TakeFindings() {
  Log& log = TheLog();
  const std::lock_guard lock(log.mutex);
  std::vector<Finding> result;
  for (auto& [key, finding] : log.findings) result.push_back(std::move(finding));
  log.findings.clear();
  return result;
}

std::int64_t ReportsOfThisThread() { return reports; }

}  // namespace fallow::cuda::emulator
