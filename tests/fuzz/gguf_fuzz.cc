// Any bytes as a GGUF file: a status, or tensors that lie within them and can be dequantised.

#include <cstdlib>

#include "model/gguf.h"
#include "model/stored_type.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto contents = fallow::ParseGguf({data, size}, "fuzz");
  if (!contents.ok()) return 0;
  for (const auto& [name, entry] : contents->tensors) {
    if (!entry.type) continue;
    const std::int64_t elements = *fallow::CheckedElements(entry.shape);
    if (static_cast<std::int64_t>(entry.bytes.size()) !=
        fallow::StoredBytes(*entry.type, elements)) {
      std::abort();
    }
    std::vector<float> values(elements);
    fallow::Dequantize(*entry.type, entry.bytes, elements, values.data());
  }
  for (const auto& [key, place] : contents->long_arrays) {
    if (!fallow::ParseGgufArray({data, size}, place, "fuzz").ok()) std::abort();
  }
  return 0;
}
