// Any bytes as a Frame, and its rows in every wire format.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "fallow/v1/peer.pb.h"
#include "wire/codec.h"

namespace fallow {
namespace {

void TryRows(WireFormat format, const std::string& bytes, std::int64_t rows,
             std::int64_t hidden_size) {
  std::vector<float> hidden(static_cast<std::size_t>(rows * hidden_size));
  if (!DecodeRows(format, bytes, rows, hidden_size, hidden.data()).ok()) {
    return;
  }
  for (const float number : hidden) {
    if (!(number > -0x1p40f && number < 0x1p40f)) {
      std::abort();
    }
  }
  if (format != WireFormat::kInt8) {  // whose bytes need not be what rounding gives
    std::string again;
    EncodeRows(format, hidden.data(), rows, hidden_size, again);
    if (again != bytes) {
      std::abort();
    }
  }
}

void TryStep(const v1::Step& step) {
  std::int64_t rows = 0;
  for (const v1::Run& run : step.runs()) {
    rows += run.count();
  }
  const auto size = static_cast<std::int64_t>(step.rows().size());
  rows = rows > 64 ? 1 + rows % 64 : rows;
  for (const WireFormat format : {WireFormat::kFp32, WireFormat::kBf16, WireFormat::kInt8}) {
    TryRows(format, step.rows(), rows, 32);
    if (rows > 0) {
      TryRows(format, step.rows(), rows, size / rows * 32 / RowBytes(format, 32));
    }
  }
}

}  // namespace
}  // namespace fallow

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fallow::v1::Frame frame;
  if (frame.ParseFromArray(data, static_cast<int>(size)) && frame.has_step()) {
    fallow::TryStep(frame.step());
  }
  return 0;
}
