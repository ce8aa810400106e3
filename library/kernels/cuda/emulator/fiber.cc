#include "kernels/cuda/emulator/fiber.h"

#include <cstring>
#include <new>

#include "base/platform/memory.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#ifndef FALLOW_FIBER_UCONTEXT
// Saves what a call must leave as it was, and goes on where `to` was saved. swapcontext would save
// the mask of signals too, by two calls of the system: 2,400 ns instead of 10.
extern "C" void fallow_switch_stacks(void** from, void* to);
asm(R"(
.text
.globl fallow_switch_stacks
.hidden fallow_switch_stacks
.type fallow_switch_stacks, @function
fallow_switch_stacks:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size fallow_switch_stacks, . - fallow_switch_stacks
)");
#endif

namespace fallow::cuda::emulator {
namespace {

constexpr std::uint64_t kEndOfStack = 0x6661'6c6c'6f77'2121u;

constinit thread_local Fiber* entering = nullptr;  // the fiber that Resume() begins

}  // namespace

Fiber::Fiber() : stack_(reinterpret_cast<char*>(ReserveMemory(kStackBytes))) {
  if (!stack_) throw std::bad_alloc();
}

Fiber::~Fiber() { ReleaseMemory(reinterpret_cast<std::uint8_t*>(stack_), kStackBytes); }

bool Fiber::Overflowed() const { return std::memcmp(stack_, &kEndOfStack, sizeof kEndOfStack); }

void Fiber::Start(void (*function)(void*), void* argument) {
  function_ = function;
  argument_ = argument;
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(stack_, kStackBytes);  // what a dropped function has left
#endif
  std::memcpy(stack_, &kEndOfStack, sizeof kEndOfStack);
#ifdef FALLOW_FIBER_UCONTEXT
  getcontext(&own_);
  own_.uc_stack.ss_sp = stack_;
  own_.uc_stack.ss_size = kStackBytes;
  own_.uc_link = nullptr;
  makecontext(&own_, &Fiber::Enter, 0);
#else
  auto** top = reinterpret_cast<void**>(stack_ + kStackBytes);
  *--top = nullptr;  // where Enter() would return to; aligns its stack as a call does
  *--top = reinterpret_cast<void*>(&Fiber::Enter);
  for (int i = 0; i < 6; ++i) *--top = nullptr;  // the registers that fallow_switch_stacks restores
  own_ = top;
#endif
}

void Fiber::Enter() {
  Fiber& self = *entering;
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(nullptr, &self.owner_stack_, &self.owner_stack_bytes_);
#endif
  self.function_(self.argument_);
  self.SwitchBack(/*for_good=*/true);
}

void Fiber::Resume() {
  entering = this;
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(&owner_shadow_stack_, stack_, kStackBytes);
#endif
#ifdef FALLOW_FIBER_UCONTEXT
  swapcontext(&owner_, &own_);
#else
  fallow_switch_stacks(&owner_, own_);
#endif
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(owner_shadow_stack_, nullptr, nullptr);
#endif
}

void Fiber::SwitchBack([[maybe_unused]] bool for_good) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(for_good ? nullptr : &own_shadow_stack_, owner_stack_,
                                 owner_stack_bytes_);
#endif
#ifdef FALLOW_FIBER_UCONTEXT
  swapcontext(&own_, &owner_);
#else
  fallow_switch_stacks(&own_, owner_);
#endif
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(own_shadow_stack_, &owner_stack_, &owner_stack_bytes_);
#endif
}

}  // namespace fallow::cuda::emulator
