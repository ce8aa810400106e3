// Any bytes as the header of a file of packed weights: a status, or tensors that lie within them.

#include <cstdlib>
#include <cstring>
#include <vector>

#include "kernels/matmul/panel.h"
#include "model/hasher.h"
#include "model/packed_header.h"

namespace fallow {
namespace {

constexpr std::size_t kTextAt = 56;

void Check(std::span<const std::uint8_t> file) {
  const auto parsed = ParsePackedHeader(file, "fuzz");
  if (!parsed.ok()) return;
  std::int64_t end = parsed->begin;
  for (const PackedTensor& tensor : parsed->header.tensors) {
    const std::int64_t begin = parsed->begin + tensor.offset;
    if (begin < end || tensor.bytes < 1 || tensor.bytes > std::ssize(file) - begin) std::abort();
    if (tensor.type && tensor.bytes != PackedBytes(*tensor.type, tensor.rows, tensor.cols)) {
      std::abort();
    }
    end = begin + tensor.bytes;
  }
}

}  // namespace
}  // namespace fallow

// The input as it is; then as the text of a header whose beginning and digest are right.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fallow::Check({data, size});
  if (size < 2) return 0;
  const std::size_t contents = (data[0] | data[1] << 8) * sizeof(float);
  const std::span<const std::uint8_t> text(data + 2, size - 2);
  std::vector<std::uint8_t> file = fallow::EncodePackedHeader({});
  file.resize(fallow::kTextAt);
  const std::int64_t length = std::ssize(text);
  std::memcpy(file.data() + 16, &length, sizeof(length));
  fallow::Hasher hasher;
  hasher.Add(text);
  const fallow::Digest digest = hasher.Finish();
  std::memcpy(file.data() + 24, digest.data(), digest.size());
  file.insert(file.end(), text.begin(), text.end());
  constexpr std::size_t kAlignment = fallow::kPackedAlignment;
  file.resize((file.size() + kAlignment - 1) / kAlignment * kAlignment + contents);
  fallow::Check(file);
  return 0;
}
