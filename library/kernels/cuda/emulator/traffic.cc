#include "kernels/cuda/emulator/traffic.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "kernels/cuda/emulator/findings.h"

namespace fallow::cuda::emulator {
namespace {

using Place = std::pair<const void*, int>;  // a site, and a kind of access
thread_local std::map<Place, LineTraffic> counted;

// The distinct units of `size` bytes that the lanes [begin, end) touch.
std::set<std::uint64_t> Touched(const LaneAccess (&lane)[32], unsigned lanes, int begin, int end,
                                std::uint64_t size) {
  std::set<std::uint64_t> units;
  for (int i = begin; i < end; ++i) {
    if (!(lanes >> i & 1)) continue;
    const std::uint64_t last = (lane[i].address + lane[i].bytes - 1) / size;
    for (std::uint64_t unit = lane[i].address / size; unit <= last; ++unit) units.insert(unit);
  }
  return units;
}

std::int64_t CeilDivide(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

void CountSectors(const LaneAccess (&lane)[32], unsigned lanes, LineTraffic& line) {
  const auto bytes = Touched(lane, lanes, 0, 32, 1).size();
  line.parts += static_cast<std::int64_t>(Touched(lane, lanes, 0, 32, 32).size());
  line.ideal += CeilDivide(static_cast<std::int64_t>(bytes), 32);
}

// Wide accesses are served to half or a quarter of the warp at a time.
void CountBanks(const LaneAccess (&lane)[32], unsigned lanes, unsigned bytes, LineTraffic& line) {
  const int together = bytes >= 16 ? 8 : bytes >= 8 ? 16 : 32;
  for (int begin = 0; begin < 32; begin += together) {
    const auto words = Touched(lane, lanes, begin, begin + together, 4);
    std::int64_t of_bank[32] = {};
    for (const std::uint64_t word : words) ++of_bank[word % 32];
    line.parts += *std::max_element(of_bank, of_bank + 32);
    line.ideal += CeilDivide(static_cast<std::int64_t>(words.size()), 32);
  }
}

}  // namespace

std::size_t Traffic::HashKey::operator()(const Key& key) const {
  const auto site = reinterpret_cast<std::uint64_t>(key.site);
  return ((site * 1025 + key.thread) * 0x9e3779b97f4a7c15u + key.turn) * 0xd1b54a32d192ed03u;
}

void Traffic::Count(const LaneAccess& access) {
  const unsigned turn = turns_[{access.site, access.thread, 0}]++;
  const Key key{access.site, access.thread / 32, turn};
  Request& request = open_[key];
  request.lane[access.thread % 32] = access;
  request.lanes |= 1u << access.thread % 32;
  if (request.lanes != ~0u) return;
  Finish(request);
  open_.erase(key);
}

void Traffic::EndBlock() {
  for (const auto& [key, request] : open_) Finish(request);
  open_.clear();
  turns_.clear();
}

void Traffic::Finish(const Request& request) {
  const LaneAccess& first = request.lane[__builtin_ctz(request.lanes)];
  LineTraffic& line = counted[{first.site, first.shared * 2 + first.write}];
  line.shared = first.shared;
  line.write = first.write;
  ++line.requests;
  line.bytes += static_cast<std::int64_t>(first.bytes) * __builtin_popcount(request.lanes);
  if (first.shared) {
    CountBanks(request.lane, request.lanes, first.bytes, line);
  } else {
    CountSectors(request.lane, request.lanes, line);
  }
}

std::vector<LineTraffic> TakeTraffic() {
  std::vector<LineTraffic> lines;
  for (auto& [place, line] : counted) {
    line.line = SourceLine(place.first);
    lines.push_back(std::move(line));
  }
  counted.clear();
  return lines;
}

}  // namespace fallow::cuda::emulator
