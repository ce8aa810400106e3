#include "server/served_model.h"

namespace fallow {
namespace {

std::string AsString(const Digest& digest) { return std::string(digest.begin(), digest.end()); }

}  // namespace

v1::InfoReply DescribeModel(const ServedModel& model) {
  v1::InfoReply info;
  info.set_version(kProtocolVersion);
  info.set_model(AsString(model.manifest));
  info.set_numeric_class(model.numeric_class);
  info.mutable_span()->set_begin(model.blocks.begin);
  info.mutable_span()->set_end(model.blocks.end);
  info.set_num_blocks(model.spec.num_blocks);
  info.set_embeds(model.embeds);
  info.set_samples(model.samples);
  for (const Digest& digest : model.block_digests) info.add_block_digests(AsString(digest));
  if (model.ends_digest) info.set_ends_digest(AsString(*model.ends_digest));
  return info;
}

}  // namespace fallow
