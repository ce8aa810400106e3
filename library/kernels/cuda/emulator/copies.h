// The copies that one device thread has begun with CopyAsync16.
#pragma once

#include <deque>
#include <vector>

namespace fallow::cuda::emulator {

struct Copy {
  void* to = nullptr;
  const void* from = nullptr;  // null: zeros
  const void* site = nullptr;
  bool done = false;
};

// Groups of copies, done oldest first and no earlier than they must be.
class Copies {
 public:
  void Begin(const Copy& copy) { open_.push_back(copy); }
  void Commit();
  void WaitUntilLeft(std::size_t groups);
  void Clear();

 private:
  std::vector<Copy> open_;  // not yet of a group
  std::deque<std::vector<Copy>> groups_;
};

}  // namespace fallow::cuda::emulator
