// Threads of execution that take turns on one thread of the operating system.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#if !defined(__x86_64__) && !defined(FALLOW_FIBER_UCONTEXT)
#define FALLOW_FIBER_UCONTEXT
#endif

#ifdef FALLOW_FIBER_UCONTEXT
#include <ucontext.h>
#endif

namespace fallow::cuda::emulator {

// A function with a stack of its own, that runs while its owner is in Resume(). A fiber that is
// destroyed or started anew before its function ended is dropped: no destructor on its stack runs.
class Fiber {
 public:
  static constexpr std::size_t kStackBytes = 128 * 1024;

  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // The next Resume() begins function(argument).
  void Start(void (*function)(void*), void* argument);

  // Runs the fiber until it suspends itself or its function returns. Not called by a fiber.
  void Resume();

  // Returns from Resume(); the next Resume() returns here. Called by this fiber.
  void Suspend() { SwitchBack(/*for_good=*/false); }

  bool OwnsStack(const void* p) const {
    const auto* byte = static_cast<const char*>(p);
    return byte >= stack_ && byte < stack_ + kStackBytes;
  }

  // Whether the stack was too small; what then happened is undefined.
  bool Overflowed() const;

 private:
  static void Enter();
  void SwitchBack(bool for_good);

  char* const stack_;
  void (*function_)(void*) = nullptr;
  void* argument_ = nullptr;
#ifdef FALLOW_FIBER_UCONTEXT
  ucontext_t own_, owner_;
#else
  void* own_ = nullptr;  // stack pointers of who does not run
  void* owner_ = nullptr;
#endif
  // What AddressSanitizer wants to know of the stacks.
  [[maybe_unused]] void* own_shadow_stack_ = nullptr;
  [[maybe_unused]] void* owner_shadow_stack_ = nullptr;
  [[maybe_unused]] const void* owner_stack_ = nullptr;
  [[maybe_unused]] std::size_t owner_stack_bytes_ = 0;
};

}  // namespace fallow::cuda::emulator
