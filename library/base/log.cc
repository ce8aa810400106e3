#include "base/log.h"

#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/const_init.h"
#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace fallow {
namespace {

using SharedSink = std::shared_ptr<const LogSink>;

ABSL_CONST_INIT absl::Mutex sink_mutex(absl::kConstInit);

SharedSink& CurrentSink() ABSL_EXCLUSIVE_LOCKS_REQUIRED(sink_mutex) {
  static SharedSink* const sink = new SharedSink;  // never destroyed: threads log until the end
  return *sink;
}

const char* NameOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "log";
}

}  // namespace

void SetLogSink(LogSink sink) {
  SharedSink next = sink ? std::make_shared<const LogSink>(std::move(sink)) : nullptr;
  absl::MutexLock lock(&sink_mutex);
  CurrentSink().swap(next);
}

void LogToStderr(LogLevel level, std::string_view message) {
  const std::string line = std::string("fallow: ") + NameOf(level) + ": " + std::string(message);
  std::fprintf(stderr, "%s\n", line.c_str());
}

void Log(LogLevel level, std::string_view message) {
  SharedSink sink;
  {
    absl::MutexLock lock(&sink_mutex);
    sink = CurrentSink();
  }
  if (sink != nullptr) {
    (*sink)(level, message);
  }
}

}  // namespace fallow
