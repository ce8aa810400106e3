// How well the accesses of a warp go together, line by line of a kernel. A model of the memory, not
// a measurement: compilers merge narrow accesses, and caches are not there.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace fallow::cuda::emulator {

struct LineTraffic {
  std::string line;  // "kernel.cuh:42"
  bool shared = false;
  bool write = false;
  std::int64_t requests = 0;  // of a warp's lanes together
  std::int64_t bytes = 0;     // as the lanes ask for them
  // Device memory: sectors of 32 bytes. Shared memory: turns in which each of 32 banks serves a
  // word. `ideal` is the least that so many distinct bytes need.
  std::int64_t parts = 0;
  std::int64_t ideal = 0;
};

// What was counted since the last call by this thread of the operating system.
std::vector<LineTraffic> TakeTraffic();

struct LaneAccess {
  const void* site = nullptr;
  std::uint64_t address = 0;  // of shared memory: from its beginning
  unsigned bytes = 0;
  unsigned thread = 0;  // its number in the block
  bool shared = false;
  bool write = false;
};

// The n-th access of each lane at a line belong together, as if the warp had not diverged.
class Traffic {
 public:
  void Count(const LaneAccess& access);
  void EndBlock();

 private:
  struct Key {
    const void* site;
    unsigned thread;  // or warp
    unsigned turn;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct HashKey {
    std::size_t operator()(const Key& key) const;
  };
  struct Request {
    LaneAccess lane[32];
    unsigned lanes = 0;  // a bit for each that is set
  };

  static void Finish(const Request& request);

  std::unordered_map<Key, unsigned, HashKey> turns_;  // of a thread at a site
  std::unordered_map<Key, Request, HashKey> open_;    // of a warp, not all lanes yet
};

}  // namespace fallow::cuda::emulator
