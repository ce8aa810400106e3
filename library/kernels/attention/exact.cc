// Attention of the exact class, by definition: one position after the other, scalar floats.
//
//   score    sum over groups of 32 dims, in order: fma(float(dot), key scale * query scale, sum);
//            then * scale, soft cap, ALiBi
//   chunks   of 128 absolute positions, visible ones only. Within one, p[t] = exp(score[t] - max);
//            total: 16 partial sums by t mod 16 in ascending order, then halved 8, 4, 2, 1;
//            out: fma(p[t] * value scale, code, out), ascending t
//   merging  chunks in order: M' = max, a = exp(M - M'), b = exp(max - M'),
//            total = fma(chunk total, b, total * a), out likewise; at the end out * (1 / total)
//
// So the bits of a row depend on its query and what it sees alone, and not on how a prompt was cut
// into passes, what else is in the pass, or how work was shared.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/attention/attention.h"
#include "kernels/exact_math.h"
#include "kernels/functions.h"

namespace fallow::exact {
namespace {

constexpr int kMaxGroups = kMaxHeadDim / kGroup;

// A head's numbers as int8 in groups of 32; the last group is filled up with zeros.
struct QuantisedHead {
  std::int8_t codes[kMaxHeadDim];
  float scale[kMaxGroups];
};

int GroupsOf(const KvLayout& layout) { return (layout.head_dim + kGroup - 1) / kGroup; }

void QuantiseHead(const float* x, int dims, ScaleFormat format, QuantisedHead& head) {
  for (int begin = 0; begin < dims; begin += kGroup) {
    float group[kGroup] = {};
    std::copy(x + begin, x + std::min(begin + kGroup, dims), group);
    head.scale[begin / kGroup] = QuantiseGroup(group, format, head.codes + begin).scale;
  }
}

float LoadBf16(const std::uint8_t* from) {
  std::uint16_t bits;
  std::memcpy(&bits, from, sizeof(bits));
  return FloatFromBf16(bits);
}

void StoreBf16(float x, std::uint8_t* to) {
  const std::uint16_t bits = Bf16FromFloat(x);
  std::memcpy(to, &bits, sizeof(bits));
}

// Softmax drops a score that is NaN, and a failed key with it; values that are NaN are not lost, so
// every row that sees the position fails.
void PassFailureOn(const QuantisedHead& keys, int groups, QuantisedHead& values) {
  bool failed = false;
  for (int g = 0; g < groups; ++g) failed = failed || keys.scale[g] != keys.scale[g];
  for (int g = 0; failed && g < groups; ++g) values.scale[g] = kNoNumber;
}

// Writes one position's key and value of one kv head.
void Put(const float* key, const float* value, const KvLayout& layout, int position,
         std::uint8_t* page) {
  QuantisedHead keys;
  QuantisedHead values;
  QuantiseHead(key, layout.head_dim, ScaleFormat::kBf16, keys);
  QuantiseHead(value, layout.head_dim, ScaleFormat::kBf16, values);
  PassFailureOn(keys, GroupsOf(layout), values);
  for (int i = 0; i < GroupsOf(layout) * kGroup; ++i) {
    page[layout.key_offset(position, i)] = static_cast<std::uint8_t>(keys.codes[i] + 128);
    page[layout.value_offset(position, i)] = static_cast<std::uint8_t>(values.codes[i]);
  }
  for (int g = 0; g < GroupsOf(layout); ++g) {
    StoreBf16(keys.scale[g], page + layout.key_scale_offset(position, g));
    StoreBf16(values.scale[g], page + layout.value_scale_offset(position, g));
  }
}

// Keys and values of one sequence and kv head.
struct History {
  const KvView& kv;
  const SequenceRun& run;
  int kv_head;

  const std::uint8_t* page(std::int64_t t) const {
    return kv.head_page(run.pages[t / kPagePositions], kv_head);
  }
};

// One query head of one row.
struct Query {
  QuantisedHead head;
  std::int64_t position;
  float slope;  // of ALiBi, if args.slopes
};

float Score(const AttentionArgs& args, const History& history, const Query& query, std::int64_t t) {
  const KvLayout& layout = args.kv.layout;
  const std::uint8_t* page = history.page(t);
  const int place = static_cast<int>(t % kPagePositions);
  float sum = 0;
  for (int g = 0; g < GroupsOf(layout); ++g) {
    std::int32_t dot = 0;
    for (int i = g * kGroup; i < (g + 1) * kGroup; ++i) {
      dot += (page[layout.key_offset(place, i)] - 128) * query.head.codes[i];
    }
    const float scale = LoadBf16(page + layout.key_scale_offset(place, g)) * query.head.scale[g];
    sum = Fma(static_cast<float>(dot), scale, sum);
  }
  float score = sum * args.scale;
  if (args.soft_cap > 0) score = args.soft_cap * Tanh(score / args.soft_cap);
  if (args.slopes) score = Fma(query.slope, static_cast<float>(t - query.position), score);
  return score;
}

// Softmax and sum of values over some positions, relative to the highest score among them.
struct Partial {
  float largest = -INFINITY;
  float total = 0;
  float out[kMaxHeadDim] = {};
};

void AddValue(const History& history, std::int64_t t, float weight, float* out) {
  const KvLayout& layout = history.kv.layout;
  const std::uint8_t* page = history.page(t);
  const int place = static_cast<int>(t % kPagePositions);
  for (int i = 0; i < layout.head_dim; ++i) {
    const float scaled = weight * LoadBf16(page + layout.value_scale_offset(place, i / kGroup));
    const auto code = static_cast<std::int8_t>(page[layout.value_offset(place, i)]);
    out[i] = Fma(scaled, static_cast<float>(code), out[i]);
  }
}

// `visible` lies within one chunk and is not empty.
Partial AttendChunk(const AttentionArgs& args, const History& history, const Query& query,
                    Range visible) {
  Partial chunk;
  float score[kChunk];
  for (std::int64_t t = visible.begin; t < visible.end; ++t) {
    score[t % kChunk] = Score(args, history, query, t);
    chunk.largest = Max(score[t % kChunk], chunk.largest);
  }
  float lane[kPagePositions] = {};
  for (std::int64_t t = visible.begin; t < visible.end; ++t) {
    const float weight = Exp(score[t % kChunk] - chunk.largest);
    lane[t % kPagePositions] = lane[t % kPagePositions] + weight;
    AddValue(history, t, weight, chunk.out);
  }
  for (int half = kPagePositions / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lane[i] = lane[i] + lane[i + half];
  }
  chunk.total = lane[0];
  return chunk;
}

void Merge(const Partial& chunk, int dims, Partial& merged) {
  const float largest = Max(chunk.largest, merged.largest);
  const float keep = Exp(merged.largest - largest);
  const float take = Exp(chunk.largest - largest);
  merged.largest = largest;
  merged.total = Fma(chunk.total, take, merged.total * keep);
  for (int i = 0; i < dims; ++i) {
    merged.out[i] = Fma(chunk.out[i], take, merged.out[i] * keep);
  }
}

void Attend(const AttentionArgs& args, const History& history, const Query& query, float* out) {
  const int dims = args.kv.layout.head_dim;
  const Range visible = VisiblePositions(query.position, args.window);
  Partial merged;
  for (std::int64_t begin = visible.begin; begin < visible.end;) {
    const std::int64_t end = std::min(visible.end, (begin / kChunk + 1) * kChunk);
    Merge(AttendChunk(args, history, query, {begin, end}), dims, merged);
    begin = end;
  }
  const float inverse = 1.0f / merged.total;
  for (int i = 0; i < dims; ++i) out[i] = merged.out[i] * inverse;
}

void AttendRow(const AttentionArgs& args, const AttentionItem& item, std::int64_t run_row) {
  const int dims = args.kv.layout.head_dim;
  const int group = args.heads / args.kv.layout.kv_heads;
  const History history{args.kv, *item.run, item.kv_head};
  const std::int64_t row = item.run->first_row + run_row;
  for (int head = item.kv_head * group; head < (item.kv_head + 1) * group; ++head) {
    Query query;
    const float* x = args.query + row * args.query_stride + head * dims;
    QuantiseHead(x, dims, ScaleFormat::kFp32, query.head);
    query.position = item.run->position + run_row;
    query.slope = args.slopes ? args.slopes[head] : 0;
    Attend(args, history, query, args.out + row * args.out_stride + head * dims);
  }
}

}  // namespace

void Append(const AppendArgs& args, Range rows) {
  const KvLayout& layout = args.kv.layout;
  for (const SequenceRun& run : args.runs) {
    const Range part = RowsOfRun(run, rows);
    for (std::int64_t i = part.begin; i < part.end; ++i) {
      const std::int64_t t = run.position + i;
      const std::int64_t row = (run.first_row + i) * args.stride;
      for (int head = 0; head < layout.kv_heads; ++head) {
        const std::int64_t at = row + head * layout.head_dim;
        Put(args.key + at, args.value + at, layout, static_cast<int>(t % kPagePositions),
            args.kv.head_page(run.pages[t / kPagePositions], head));
      }
    }
  }
}

void Attention(const AttentionArgs& args, Range items) {
  for (std::int64_t index = items.begin; index < items.end; ++index) {
    const AttentionItem item = AttentionItemAt(args, index);
    for (std::int64_t i = item.rows.begin; i < item.rows.end; ++i) AttendRow(args, item, i);
  }
}

}  // namespace fallow::exact
