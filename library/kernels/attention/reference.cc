// Attention in double, as the header's formula says.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/attention/attention.h"
#include "kernels/float_bits.h"
#include "kernels/functions.h"
#include "kernels/numeric.h"

namespace fallow::reference {
namespace {

template <typename T>
T Load(const std::uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

template <typename T>
void Store(T value, std::uint8_t* to) {
  std::memcpy(to, &value, sizeof(T));
}

// Where the numbers of one position and kv head lie: its keys or its values.
struct Place {
  const KvLayout& layout;
  std::uint8_t* page;
  int position;
  bool is_key;

  std::uint8_t* number(int dim) const {
    return page + (is_key ? layout.key_offset(position, dim) : layout.value_offset(position, dim));
  }
  std::uint8_t* scale(int group) const {
    return page + (is_key ? layout.key_scale_offset(position, group)
                          : layout.value_scale_offset(position, group));
  }
  int code_bias() const { return is_key ? 128 : 0; }  // of kQ8's codes
};

Place PlaceOf(const KvView& kv, const SequenceRun& run, std::int64_t position, int kv_head,
              bool is_key) {
  std::uint8_t* page = kv.head_page(run.pages[position / kPagePositions], kv_head);
  return {kv.layout, page, static_cast<int>(position % kPagePositions), is_key};
}

double Read(const Place& place, int dim) {
  const std::uint8_t* at = place.number(dim);
  switch (place.layout.format) {
    case KvFormat::kFp32:
      return Load<float>(at);
    case KvFormat::kBf16:
      return FloatFromBf16(Load<std::uint16_t>(at));
    case KvFormat::kQ8: {
      const double scale = FloatFromBf16(Load<std::uint16_t>(place.scale(dim / kGroup)));
      const int code = place.is_key ? *at : static_cast<std::int8_t>(*at);
      return scale * (code - place.code_bias());
    }
  }
  return 0;
}

// Up to 32 numbers of one group; those that are missing count as zero.
void WriteGroup(const float* x, int count, int group, const Place& place) {
  double largest = 0;
  for (int i = 0; i < count; ++i) largest = std::max(largest, std::abs(double{x[i]}));
  const std::uint16_t scale = Bf16FromFloat(static_cast<float>(largest / 127));
  Store(scale, place.scale(group));
  for (int i = 0; i < count; ++i) {
    const double code = scale == 0 ? 0 : std::nearbyint(x[i] / double{FloatFromBf16(scale)});
    const int biased = static_cast<int>(code) + place.code_bias();
    *place.number(group * kGroup + i) = static_cast<std::uint8_t>(biased);
  }
}

void Write(const float* x, const Place& place) {
  const int dims = place.layout.head_dim;
  switch (place.layout.format) {
    case KvFormat::kFp32:
      for (int i = 0; i < dims; ++i) Store(x[i], place.number(i));
      break;
    case KvFormat::kBf16:
      for (int i = 0; i < dims; ++i) Store(Bf16FromFloat(x[i]), place.number(i));
      break;
    case KvFormat::kQ8:
      for (int i = 0; i < dims; i += kGroup) {
        WriteGroup(x + i, std::min(kGroup, dims - i), i / kGroup, place);
      }
      break;
  }
}

// One query head of one row.
struct Query {
  const float* query;
  float* out;
  std::int64_t position;
  int head;
};

double Score(const AttentionArgs& args, const Query& query, std::int64_t t, const Place& key) {
  double dot = 0;
  for (int i = 0; i < args.kv.layout.head_dim; ++i) dot += query.query[i] * Read(key, i);
  double score = args.scale * dot;
  if (args.soft_cap > 0) score = args.soft_cap * std::tanh(score / args.soft_cap);
  if (args.slopes) score += args.slopes[query.head] * static_cast<double>(t - query.position);
  return score;
}

void Attend(const AttentionArgs& args, const AttentionItem& item, const Query& query) {
  const Range visible = VisiblePositions(query.position, args.window);
  std::vector<double> weight(visible.size());
  double largest = -INFINITY;
  for (std::int64_t t = visible.begin; t < visible.end; ++t) {
    const Place key = PlaceOf(args.kv, *item.run, t, item.kv_head, true);
    weight[t - visible.begin] = Score(args, query, t, key);
    largest = std::max(largest, weight[t - visible.begin]);
  }
  double total = 0;
  for (double& w : weight) total += w = std::exp(w - largest);
  for (int i = 0; i < args.kv.layout.head_dim; ++i) {
    double sum = 0;
    for (std::int64_t t = visible.begin; t < visible.end; ++t) {
      const Place value = PlaceOf(args.kv, *item.run, t, item.kv_head, false);
      sum += weight[t - visible.begin] * Read(value, i);
    }
    query.out[i] = static_cast<float>(sum / total);
  }
}

}  // namespace

void Append(const AppendArgs& args, Range rows) {
  const KvLayout& layout = args.kv.layout;
  for (const SequenceRun& run : args.runs) {
    const Range part = RowsOfRun(run, rows);
    for (std::int64_t i = part.begin; i < part.end; ++i) {
      const std::int64_t row = (run.first_row + i) * args.stride;
      for (int head = 0; head < layout.kv_heads; ++head) {
        const std::int64_t at = row + head * layout.head_dim;
        Write(args.key + at, PlaceOf(args.kv, run, run.position + i, head, true));
        Write(args.value + at, PlaceOf(args.kv, run, run.position + i, head, false));
      }
    }
  }
}

void Attention(const AttentionArgs& args, Range items) {
  const KvLayout& layout = args.kv.layout;
  const int group = args.heads / layout.kv_heads;
  for (std::int64_t index = items.begin; index < items.end; ++index) {
    const AttentionItem item = AttentionItemAt(args, index);
    for (std::int64_t i = item.rows.begin; i < item.rows.end; ++i) {
      const std::int64_t row = item.run->first_row + i;
      for (int head = item.kv_head * group; head < (item.kv_head + 1) * group; ++head) {
        Attend(args, item,
               {args.query + row * args.query_stride + head * layout.head_dim,
                args.out + row * args.out_stride + head * layout.head_dim, item.run->position + i,
                head});
      }
    }
  }
}

}  // namespace fallow::reference
