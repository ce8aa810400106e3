// What the library has to tell those who run it. It prints nothing by itself.
#pragma once

#include <functional>
#include <string_view>

namespace fallow {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Called from any thread, maybe from several at once.
using LogSink = std::function<void(LogLevel level, std::string_view message)>;

// Sends messages to `sink` from now on; without a sink, as at the start, they are dropped. A
// message that is under way may still reach the sink before.
void SetLogSink(LogSink sink);

// A sink for executables: one line a message.
void LogToStderr(LogLevel level, std::string_view message);

void Log(LogLevel level, std::string_view message);

}  // namespace fallow
