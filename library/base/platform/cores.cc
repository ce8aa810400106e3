#include "base/platform/cores.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <thread>

namespace fallow {

int UsableCores() {
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) return std::max(1, CPU_COUNT(&cores));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

int CurrentCore() { return sched_getcpu(); }

void KeepOffCore(std::thread& thread, int core) {
  cpu_set_t cores;
  if (core < 0 || sched_getaffinity(0, sizeof cores, &cores) != 0) return;
  CPU_CLR(core, &cores);
  if (CPU_COUNT(&cores) > 0) pthread_setaffinity_np(thread.native_handle(), sizeof cores, &cores);
}

}  // namespace fallow
