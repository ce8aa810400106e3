#include "kernels/cuda/emulator/copies.h"

#include <cstring>
#include <utility>

#include "kernels/cuda/emulator/block.h"
#include "kernels/cuda/emulator/checker.h"

namespace fallow::cuda::emulator {
namespace {

void Do(const Copy& copy) {
  if (copy.from) {
    std::memcpy(copy.to, copy.from, 16);
  } else {
    std::memset(copy.to, 0, 16);
  }
}

}  // namespace

void Copies::Commit() {
  groups_.push_back(std::move(open_));
  open_.clear();
}

void Copies::WaitUntilLeft(std::size_t groups) {
  for (; groups_.size() > groups; groups_.pop_front()) {
    for (const Copy& copy : groups_.front()) {
      if (!copy.done) Do(copy);
      if constexpr (kChecked) Checker::Get().EndCopy(copy);
    }
  }
}

void Copies::Clear() {
  open_.clear();
  groups_.clear();
}

void WaitForCopyGroups(int groups) {
  Block::Running()->current().copies.WaitUntilLeft(static_cast<std::size_t>(groups));
}

}  // namespace fallow::cuda::emulator

namespace fallow::cuda {

__attribute__((noinline)) void CopyAsync16(void* to, const void* from, bool valid) {
  using namespace emulator;
  Copy copy{to, valid ? from : nullptr, __builtin_return_address(0), CurrentOptions().early_copies};
  if constexpr (kChecked) Checker::Get().BeginCopy(copy);
  if (copy.done) Do(copy);
  Block::Running()->current().copies.Begin(copy);
}

void CommitCopies() { emulator::Block::Running()->current().copies.Commit(); }

}  // namespace fallow::cuda
