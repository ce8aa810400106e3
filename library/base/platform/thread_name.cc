#include "base/platform/thread_name.h"

#include <pthread.h>

namespace fallow {

void SetThreadName(const std::string& name) {
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());  // longer ones are refused
}

}  // namespace fallow
