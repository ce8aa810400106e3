// Hidden states as bytes on the wire, in the format of the session's numeric class.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace fallow {

enum class WireFormat {
  kFp32,  // floats
  kBf16,  // rows are already rounded to bf16
  kInt8,  // rows are already rounded to int8 in groups of 32 (class option "+r8")
};

// What the class string says: kInt8 with option "+r8", else kFp32 for arithmetic "fp32", else
// kBf16.
WireFormat WireFormatOf(std::string_view numeric_class);

std::int64_t RowBytes(WireFormat format, std::int64_t hidden_size);

// Appends `rows` rows to `out`. Exact: decoding gives the same floats, as the class rounded them.
void EncodeRows(WireFormat format, const float* hidden, std::int64_t rows, std::int64_t hidden_size,
                std::string& out);

// InvalidArgument if the size is not that of `rows` rows, or a number is NaN or of magnitude 2^40
// or more: such a row must not enter a pass.
absl::Status DecodeRows(WireFormat format, std::string_view bytes, std::int64_t rows,
                        std::int64_t hidden_size, float* hidden);

}  // namespace fallow
