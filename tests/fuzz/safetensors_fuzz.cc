// Any bytes as a safetensors file: a status or entries that lie within them.

#include <cstdlib>

#include "model/safetensors.h"
#include "model/stored_type.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto entries = fallow::ParseSafetensors({data, size}, "fuzz");
  if (!entries.ok()) return 0;
  for (const auto& [name, entry] : *entries) {
    if (entry.bytes.empty()) continue;
    if (entry.bytes.data() < data || entry.bytes.data() + entry.bytes.size() > data + size) {
      std::abort();
    }
  }
  return 0;
}
