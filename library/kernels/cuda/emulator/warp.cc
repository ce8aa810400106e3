// What the lanes of a warp do together.
#include <cstring>

#include "kernels/cuda/emulator/block.h"
#include "kernels/cuda/emulator/findings.h"

namespace fallow::cuda::emulator {
namespace {

bool Has(unsigned lanes, int lane) { return lanes >> lane & 1; }

struct ShuffleLane {
  std::uint64_t bits;
  int argument;
  int width;
  std::uint64_t result = 0;
  bool valid = false;
};

int SourceLane(Shuffle shuffle, int lane, int argument, int width) {
  const int begin = lane & ~(width - 1);
  int source = lane;
  switch (shuffle) {
    case Shuffle::kIndex:
      return begin + (argument & (width - 1));
    case Shuffle::kUp:
      source = lane - argument;
      return source < begin ? lane : source;
    case Shuffle::kDown:
      source = lane + argument;
      break;
    case Shuffle::kXor:
      source = lane ^ argument;
      break;
  }
  return source >= begin + width ? lane : source;
}

void DoShuffle(unsigned lanes, void* const (&brought)[32], std::uint64_t variant) {
  for (int lane = 0; lane < 32; ++lane) {
    if (!Has(lanes, lane)) continue;
    auto& self = *static_cast<ShuffleLane*>(brought[lane]);
    const int source =
        SourceLane(static_cast<Shuffle>(variant), lane, self.argument, self.width) & 31;
    self.valid = Has(lanes, source);
    self.result = self.valid ? static_cast<ShuffleLane*>(brought[source])->bits : ~0u;
  }
}

struct Vote {
  bool predicate;
  unsigned result = 0;
};

void DoVote(unsigned lanes, void* const (&brought)[32], std::uint64_t) {
  unsigned result = 0;
  for (int lane = 0; lane < 32; ++lane) {
    if (Has(lanes, lane) && static_cast<Vote*>(brought[lane])->predicate) result |= 1u << lane;
  }
  for (int lane = 0; lane < 32; ++lane) {
    if (Has(lanes, lane)) static_cast<Vote*>(brought[lane])->result = result;
  }
}

unsigned Ballot(unsigned mask, bool predicate, const void* site) {
  Vote vote{predicate};
  Block::Running()->MeetInWarp({.mask = mask, .function = DoVote}, &vote, site);
  return vote.result;
}

}  // namespace

__attribute__((noinline)) std::uint64_t ShuffleBits(Shuffle shuffle, unsigned mask,
                                                    std::uint64_t bits, int argument, int width) {
  const void* site = __builtin_return_address(0);
  ShuffleLane lane{bits, argument, width};
  Block::Running()->MeetInWarp(
      {.mask = mask, .function = DoShuffle, .variant = static_cast<std::uint64_t>(shuffle)}, &lane,
      site);
  if (!lane.valid) Report("shuffle", site, "a number of a lane that does not take part");
  return lane.result;
}

}  // namespace fallow::cuda::emulator

using fallow::cuda::emulator::Ballot;
using fallow::cuda::emulator::Block;

__attribute__((noinline)) void __syncwarp(unsigned mask) {
  Block::Running()->MeetInWarp({.mask = mask}, nullptr, __builtin_return_address(0));
}

__attribute__((noinline)) unsigned __ballot_sync(unsigned mask, int predicate) {
  return Ballot(mask, predicate != 0, __builtin_return_address(0));
}

__attribute__((noinline)) int __any_sync(unsigned mask, int predicate) {
  return Ballot(mask, predicate != 0, __builtin_return_address(0)) != 0;
}

__attribute__((noinline)) int __all_sync(unsigned mask, int predicate) {
  return Ballot(mask, predicate == 0, __builtin_return_address(0)) == 0;
}
