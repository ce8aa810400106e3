// The processor cores of this machine.
#pragma once

#include <thread>

namespace fallow {

// How many cores the system lets this process run on; at least 1.
int UsableCores();

// The core that the calling thread is on, as the system numbers it: just then, unless it is pinned.
int CurrentCore();

// Lets `thread` run on those cores that the calling thread may run on, but not on `core`. Changes
// nothing if there is no other, or if the system refuses.
void KeepOffCore(std::thread& thread, int core);

}  // namespace fallow
