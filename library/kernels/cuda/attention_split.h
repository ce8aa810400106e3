// How blocks share the attention of a pass.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/exact_math.h"

namespace fallow::cuda {

// Query heads that a block takes at most, of the `group` which share keys and values.
inline int HeadsOfTile(int group) { return group == 1 ? 1 : group <= 4 ? 4 : 8; }
inline int TilesOf(int group) { return (group + HeadsOfTile(group) - 1) / HeadsOfTile(group); }

// Chunks that a row sees at most, if its sequence has so many.
inline int ChunksSeen(int chunks, int window) {
  return window > 0 ? std::min(chunks, window / exact::kChunk + 2) : chunks;
}

// A block a row and tile of heads leaves multiprocessors idle where there are few; a block a chunk
// too costs a second kernel, and traffic for what the first leaves to it.
inline bool SharesChunks(std::int64_t tiles, int chunks, int multiprocessors) {
  return chunks > 1 && tiles < 2 * std::int64_t{multiprocessors};
}

}  // namespace fallow::cuda
