// The likeliest tokens on sixteen lanes. Most blocks of logits have none of them: the largest of a
// block says so.
#include "kernels/cpu/simd.h"
#include "kernels/float_bits.h"
#include "kernels/functions.h"
#include "kernels/shortlist/shortlist.h"

namespace fallow::FALLOW_ISA {
namespace {

constexpr std::int64_t kBlock = 64;
constexpr float kNever = -__builtin_inff();
constexpr float kLargest = 0x1.fffffep+127f;

FALLOW_INLINE float Tamed(float logit) {
  if (!(logit > kNever)) return kNever;
  return logit < kLargest ? logit : kLargest;
}

FALLOW_INLINE bool Worse(const ShortlistEntry& a, const ShortlistEntry& b) {
  return a.logit < b.logit || (a.logit == b.logit && a.id > b.id);
}
FALLOW_INLINE bool Later(const ShortlistEntry& a, const ShortlistEntry& b) { return a.id > b.id; }

// Moves an entry of a heap to where no entry below it has more right to its place.
template <typename Above>
void SiftDown(ShortlistEntry* heap, std::int64_t count, std::int64_t at, Above above) {
  const ShortlistEntry entry = heap[at];
  for (std::int64_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
    if (child + 1 < count && above(heap[child + 1], heap[child])) ++child;
    if (!above(heap[child], entry)) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = entry;
}

template <typename Above>
void MakeHeap(ShortlistEntry* heap, std::int64_t count, Above above) {
  for (std::int64_t i = count / 2; i-- > 0;) SiftDown(heap, count, i, above);
}

void SortById(ShortlistEntry* entries, std::int64_t count) {
  MakeHeap(entries, count, Later);
  for (std::int64_t last = count - 1; last > 0; --last) {
    const ShortlistEntry latest = entries[0];
    entries[0] = entries[last];
    entries[last] = latest;
    SiftDown(entries, last, 0, Later);
  }
}

// Of `count` logits, at most kBlock; NaN may be passed over or be the result. `bits` grows to the
// largest of AbsBits().
FALLOW_INLINE float Largest(const float* logits, std::int64_t count, Ints& bits) {
  Floats largest = Broadcast(kNever);
  for (std::int64_t i = 0; i < count; i += 16) {
    // What is not there counts as 0, and so the block may be looked at in vain.
    const Floats x = count - i >= 16 ? Load(logits + i) : LoadFirst(logits + i, count - i);
    largest = Max(x, largest);
    bits = Max(bits, AbsBits(x));
  }
  return MaxLane(largest);
}

// Once `best` is full it is a heap, the worst entry in front; at the end it is sorted. True if all
// logits are finite.
bool FindInRow(const float* logits, std::int64_t n, ShortlistEntry* best, std::int64_t count) {
  Ints bits = BroadcastInt(0);
  std::int64_t found = 0;
  for (std::int64_t begin = 0; begin < n; begin += kBlock) {
    const std::int64_t size = n - begin < kBlock ? n - begin : kBlock;
    const float largest = Largest(logits + begin, size, bits);
    if (found == count && largest <= best[0].logit) continue;
    for (std::int64_t i = begin; i < begin + size; ++i) {
      const ShortlistEntry entry{static_cast<std::int32_t>(i), Tamed(logits[i])};
      if (found < count) {
        best[found++] = entry;
        if (found == count && count < n) MakeHeap(best, count, Worse);
      } else if (entry.logit > best[0].logit) {
        best[0] = entry;
        SiftDown(best, count, 0, Worse);
      }
    }
  }
  if (count < n) SortById(best, count);  // else they never moved
  return MaxLane(bits) < static_cast<std::int32_t>(BitsOf(__builtin_inff()));
}

}  // namespace

void FindShortlist(const ShortlistArgs& args, Range rows) {
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const float* logits = args.logits + row * args.n;
    if (!FindInRow(logits, args.n, args.best + row * args.count, args.count)) args.failed[row] = 1;
  }
}

}  // namespace fallow::FALLOW_ISA
