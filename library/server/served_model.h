// What a hop serves: a span of a model, in one numeric class.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "fallow/model_spec.h"
#include "fallow/v1/peer.pb.h"
#include "model/block_span.h"
#include "model/head.h"
#include "model/kv_cache.h"
#include "model/weights.h"
#include "wire/codec.h"

namespace fallow {

// The parts are borrowed, and outlive the hop. The data loop alone uses them.
struct ServedModel {
  ModelSpec spec;
  std::string numeric_class;
  Digest manifest{};
  BlockRange blocks;
  std::vector<Digest> block_digests;  // of `blocks`, in order
  std::optional<Digest> ends_digest;
  bool embeds = false;   // `head` has the embedding
  bool samples = false;  // `head` has the final norm and the head

  std::vector<Backend*> backends;
  BlockSpan* span = nullptr;
  Head* head = nullptr;  // null if it neither embeds nor samples
  KvCache* cache = nullptr;

  WireFormat format() const { return WireFormatOf(numeric_class); }
  bool whole() const { return blocks.size() == spec.num_blocks; }
  std::int64_t row_bytes() const { return RowBytes(format(), spec.hidden_size); }
};

inline constexpr int kProtocolVersion = 1;

// All that does not change from one moment to the next.
v1::InfoReply DescribeModel(const ServedModel& model);

}  // namespace fallow
