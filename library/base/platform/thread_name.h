// Names of threads, as debuggers and lists of processes show them.
#pragma once

#include <string>

namespace fallow {

// Names the calling thread. The system may keep the first 15 characters only.
void SetThreadName(const std::string& name);

}  // namespace fallow
