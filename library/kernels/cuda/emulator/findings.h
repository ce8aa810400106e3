// What is wrong with the kernels that the emulator ran.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fallow::cuda::emulator {

struct Finding {
  std::string kind;        // "race", "out of bounds", …: as the functions that report them say
  std::string line;        // "kernel.cuh:42"
  std::string text;        // of the first time, with block and thread
  std::int64_t count = 0;  // how often, at that line
};

// What all launches of the process found since the last call.
std::vector<Finding> TakeFindings();

// Where the instruction before `return_address` stands in the source of a kernel, not of the
// emulator: "kernel.cuh:42".
std::string SourceLine(const void* return_address);

// Notes a finding of the running device thread.
void Report(const char* kind, const void* return_address, const std::string& text);
void ReportAt(const char* kind, const std::string& line, const std::string& text);

// How many times Report was called by this thread of the operating system.
std::int64_t ReportsOfThisThread();

}  // namespace fallow::cuda::emulator
