#include "kernels/cuda/emulator/block.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "kernels/cuda/emulator/checker.h"
#include "kernels/cuda/emulator/findings.h"

namespace fallow::cuda::emulator {
namespace {

constinit thread_local Block* running = nullptr;

// Threads, and so their stacks, are kept for the next block of this thread of the system.
std::vector<std::unique_ptr<DeviceThread>>& KeptThreads(unsigned at_least) {
  thread_local std::vector<std::unique_ptr<DeviceThread>> threads;
  while (threads.size() < at_least) threads.push_back(std::make_unique<DeviceThread>());
  return threads;
}

unsigned NumThreads(const dim3& block) { return block.x * block.y * block.z; }

uint3 Unflatten(std::uint64_t number, const dim3& size) {
  return {static_cast<unsigned>(number % size.x), static_cast<unsigned>(number / size.x % size.y),
          static_cast<unsigned>(number / size.x / size.y)};
}

}  // namespace

constinit thread_local Builtins builtins;

Block* Block::Running() { return running; }

// Shared memory has its exact size, so that AddressSanitizer sees its end.
Block::Block(const Kernel& kernel, std::uint64_t seed)
    : kernel_(kernel),
      num_threads_(NumThreads(kernel.shape.block)),
      threads_(KeptThreads(num_threads_)),
      shared_(new (std::align_val_t{128}) std::uint8_t[kernel.shape.shared_bytes],
              kernel.shape.shared_bytes),
      draw_(seed) {
  builtins.block_size = kernel.shape.block;
  builtins.grid_size = kernel.shape.grid;
}

Block::~Block() { operator delete[](shared_.data(), std::align_val_t{128}); }

bool Block::Run(std::uint64_t number) {
  number_ = number;
  builtins.block = Unflatten(number, kernel_.shape.grid);
  StartThreads();
  running = this;
  if constexpr (kChecked) Checker::Get().BeginBlock(number, num_threads_, shared_);
  while (live_ > 0 && !stopped_) {
    if (ready_.empty()) {
      ReportDeadlock();
      break;
    }
    RunThread(NextReady());
  }
  if constexpr (kChecked) Checker::Get().EndBlock();
  running = nullptr;
  return live_ == 0;
}

// Shared memory begins as NaN, so that what is read before it is written shows.
void Block::StartThreads() {
  std::fill(shared_.begin(), shared_.end(), std::uint8_t{0xff});
  warps_.assign((num_threads_ + 31) / 32, Warp{});
  ready_.clear();
  live_ = num_threads_;
  at_barrier_ = 0;
  stopped_ = false;
  for (unsigned i = 0; i < num_threads_; ++i) {
    DeviceThread& thread = *threads_[i];
    thread.number = i;
    thread.index = Unflatten(i, kernel_.shape.block);
    thread.site = nullptr;
    thread.copies.Clear();
    thread.fiber.Start([](void* block) { static_cast<Block*>(block)->EnterKernel(); }, this);
    warps_[thread.warp()].present |= 1u << thread.lane();
    MakeReady(thread);
  }
}

void Block::MakeReady(DeviceThread& thread) {
  thread.state = ThreadState::kReady;
  ready_.push_back(thread.number);
}

DeviceThread& Block::NextReady() {
  const std::size_t at = CurrentOptions().random_order ? draw_(ready_.size()) : 0;
  const unsigned number = ready_[at];
  if (at > 0) ready_[at] = ready_.front();
  ready_.pop_front();
  return *threads_[number];
}

void Block::EnterKernel() {
  kernel_.call.device_thread(kernel_.call.closure);
  current_->state = ThreadState::kEnded;
}

void Block::RunThread(DeviceThread& thread) {
  current_ = &thread;
  builtins.thread = thread.index;
  thread.fiber.Resume();
  if (thread.fiber.Overflowed()) {
    ReportAt("stack overflow", SourceLine(thread.site), "a thread's stack is too small for it");
    stopped_ = true;
  }
  if (!stopped_ && thread.state == ThreadState::kEnded) EndThread(thread);
  current_ = nullptr;
}

// Copies that nobody waited for are done too, and change nothing any more but shared memory.
void Block::EndThread(DeviceThread& thread) {
  thread.copies.Commit();
  thread.copies.WaitUntilLeft(0);
  --live_;
  warps_[thread.warp()].ended |= 1u << thread.lane();
  FinishMeetings(thread.warp());
  if (live_ > 0 && at_barrier_ == live_) ReleaseBarrier();
}

void Block::ReportDeadlock() {
  for (unsigned i = 0; i < num_threads_; ++i) {
    const DeviceThread& thread = *threads_[i];
    if (thread.state == ThreadState::kEnded) continue;
    const bool barrier = thread.state == ThreadState::kAtBarrier;
    ReportAt("deadlock", SourceLine(thread.site),
             absl::StrCat("no thread can run; thread ", i, " waits ",
                          barrier ? "at a barrier" : "for others of its warp"));
  }
}

// The compiler may have made several calls of one barrier, so lines are compared.
void Block::ReportDivergence(const void* site) {
  for (unsigned i = 0; i < num_threads_; ++i) {
    const DeviceThread& thread = *threads_[i];
    if (thread.state != ThreadState::kAtBarrier || thread.site == site) continue;
    if (SourceLine(thread.site) == SourceLine(site)) continue;
    Report("divergent barrier", site,
           absl::StrCat("others of the block wait at ", SourceLine(thread.site)));
    return;
  }
}

void Block::WaitAtBarrier(const void* site) {
  current_->site = site;
  current_->state = ThreadState::kAtBarrier;
  if (++at_barrier_ == live_) ReleaseBarrier();
  current_->fiber.Suspend();
}

void Block::ReleaseBarrier() {
  const auto waits = [](const auto& t) { return t->state == ThreadState::kAtBarrier; };
  const auto end = threads_.begin() + num_threads_;
  const void* site = (*std::find_if(threads_.begin(), end, waits))->site;
  if (live_ != num_threads_) Report("barrier after exit", site, "threads of the block have ended");
  ReportDivergence(site);
  at_barrier_ = 0;
  if constexpr (kChecked) Checker::Get().PassBarrier();
  for (unsigned i = 0; i < num_threads_; ++i) {
    if (waits(threads_[i])) MakeReady(*threads_[i]);
  }
}

void Block::MeetInWarp(const WarpOperation& operation, void* brought, const void* site) {
  DeviceThread& thread = *current_;
  Warp& warp = warps_[thread.warp()];
  const unsigned self = 1u << thread.lane();
  if (!(operation.mask & self)) {
    Report("warp mask", site, "a lane is not in the mask it names");
    Stop();
  }
  if (operation.mask & ~warp.present) {
    Report("warp mask", site, "the mask names lanes that the block does not have");
  }
  auto at = std::find_if(warp.meetings.begin(), warp.meetings.end(),
                         [&](const Meeting& meeting) { return meeting.operation == operation; });
  if (at == warp.meetings.end()) {
    for (const Meeting& other : warp.meetings) {
      if (other.operation.mask & operation.mask & other.arrived) {
        Report("warp mask", site, "lanes of this mask wait for another mask or operation");
      }
    }
    at = warp.meetings.insert(at, Meeting{operation});
  }
  at->arrived |= self;
  at->brought[thread.lane()] = brought;
  thread.site = site;
  thread.state = ThreadState::kInWarp;
  FinishMeetings(thread.warp());
  thread.fiber.Suspend();
}

void Block::FinishMeetings(unsigned number) {
  Warp& warp = warps_[number];
  for (std::size_t i = 0; i < warp.meetings.size();) {
    const unsigned expected = warp.meetings[i].operation.mask & warp.present & ~warp.ended;
    if ((warp.meetings[i].arrived & expected) != expected) {
      ++i;
      continue;
    }
    const Meeting meeting = warp.meetings[i];
    warp.meetings.erase(warp.meetings.begin() + static_cast<std::ptrdiff_t>(i));
    const auto [mask, function, variant] = meeting.operation;
    if (mask & warp.ended & ~meeting.arrived) {
      const int lane = __builtin_ctz(meeting.arrived);
      Report("warp mask", threads_[number * 32 + lane]->site,
             "the mask names lanes that have ended");
    }
    if (function) function(meeting.arrived, meeting.brought, variant);
    if constexpr (kChecked) {
      if (!function) Checker::Get().JoinLanes(number, meeting.arrived);
    }
    for (unsigned lane = 0; lane < 32; ++lane) {
      if (meeting.arrived >> lane & 1) MakeReady(*threads_[number * 32 + lane]);
    }
  }
}

void Block::LetOthersRun() {
  MakeReady(*current_);
  current_->fiber.Suspend();
}

void Block::Stop() {
  stopped_ = true;
  current_->fiber.Suspend();
  __builtin_unreachable();
}

}  // namespace fallow::cuda::emulator

__attribute__((noinline)) void __syncthreads() {
  fallow::cuda::emulator::Block::Running()->WaitAtBarrier(__builtin_return_address(0));
}
