// When blocks share a row's attention by chunks of its positions.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/exact_math.h"

namespace fallow::cuda {

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
