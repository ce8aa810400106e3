// Makes files of packed weights (packed_file.h).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/platform/pending_file.h"
#include "model/hasher.h"
#include "model/packed_header.h"

namespace fallow {

// A file has its name only when all of it is on the disk.
class PackedFileWriter {
 public:
  // `header.contents` and the tensors' places are ignored. Errors as PendingFile's.
  static absl::StatusOr<std::unique_ptr<PackedFileWriter>> Create(const std::string& path,
                                                                  PackedHeader header);

  // The next tensor of the header.
  absl::Status Add(std::span<const std::uint8_t> tensor);

  absl::Status Publish();

 private:
  PackedFileWriter(std::unique_ptr<PendingFile> file, PackedHeader header);
  absl::Status Append(std::span<const std::uint8_t> bytes);

  const std::unique_ptr<PendingFile> file_;
  PackedHeader header_;
  std::int64_t begin_;    // of the tensors
  std::int64_t end_ = 0;  // of what is written of them, from begin_
  std::size_t next_ = 0;
  ByteHasher hasher_;
};

}  // namespace fallow
