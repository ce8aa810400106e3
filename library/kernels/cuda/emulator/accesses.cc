// Accesses to memory that are calls.
#include <atomic>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "kernels/cuda/emulator/block.h"
#include "kernels/cuda/emulator/checker.h"
#include "kernels/cuda/emulator/findings.h"

namespace fallow::cuda {
namespace emulator {
namespace {

// Blocks may run side by side on threads of the operating system.
template <typename T>
T AtomicAdd(T* p, T value, const void* site) {
  if constexpr (kChecked) {
    Checker::Get().Access({p, sizeof(T), site, /*write=*/true, /*atomic=*/true});
  }
  return std::atomic_ref<T>(*p).fetch_add(value, std::memory_order_relaxed);
}

}  // namespace

__attribute__((noinline)) void* SharedMemory(std::size_t bytes) {
  const auto shared = Block::Running()->shared_memory();
  if (bytes > shared.size()) {
    Report("shared memory", __builtin_return_address(0),
           absl::StrCat("the kernel uses ", bytes, " bytes, the launch gave ", shared.size()));
    Block::Running()->Stop();
  }
  return shared.data();
}

}  // namespace emulator

namespace {

template <typename T>
T Load(const void* p, const void* site) {
  if constexpr (emulator::kChecked) emulator::Checker::Get().Access({p, sizeof(T), site});
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

}  // namespace

__attribute__((noinline)) std::uint32_t Load4(const void* p) {
  return Load<std::uint32_t>(p, __builtin_return_address(0));
}
__attribute__((noinline)) uint2 Load8(const void* p) {
  return Load<uint2>(p, __builtin_return_address(0));
}
__attribute__((noinline)) uint4 Load16(const void* p) {
  return Load<uint4>(p, __builtin_return_address(0));
}

__attribute__((noinline)) void Store16(void* p, uint4 value) {
  if constexpr (emulator::kChecked) {
    emulator::Checker::Get().Access({p, 16, __builtin_return_address(0), /*write=*/true});
  }
  std::memcpy(p, &value, sizeof value);
}

}  // namespace fallow::cuda

__attribute__((noinline)) int atomicAdd(int* p, int value) {
  return fallow::cuda::emulator::AtomicAdd(p, value, __builtin_return_address(0));
}

__attribute__((noinline)) float atomicAdd(float* p, float value) {
  return fallow::cuda::emulator::AtomicAdd(p, value, __builtin_return_address(0));
}
