// A part of a model (a block, an embedding, a head) as packed weights in a file, which processes
// that have it open share in memory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/platform/mapped_file.h"
#include "kernels/backend.h"
#include "model/packed_header.h"

namespace fallow {

class PackedFile {
 public:
  // Reads the header alone. NotFound if there is none; the errors of ParsePackedHeader().
  static absl::StatusOr<std::shared_ptr<const PackedFile>> Open(const std::string& path);

  const PackedHeader& header() const { return parsed_.header; }
  std::int64_t bytes() const { return std::ssize(file_->bytes()); }

  // Begins to read all of it from the disk. Does not wait.
  void ReadAhead() const { file_->ReadAhead(); }

  // A slot's matrix where it lies in the file, which its memory keeps. NotFound if it has none.
  absl::StatusOr<Weight> Matrix(const std::string& slot, Backend& backend) const;

  // A slot's vector; empty if it has none.
  std::vector<float> Vector(const std::string& slot) const;

  // DataLoss names the file if its contents are not what was written. Reads all of it.
  absl::Status CheckContents() const;

 private:
  PackedFile(std::shared_ptr<const MappedFile> file, ParsedHeader parsed)
      : file_(std::move(file)), parsed_(std::move(parsed)) {}

  const PackedTensor* Find(const std::string& slot) const;

  const std::shared_ptr<const MappedFile> file_;
  const ParsedHeader parsed_;
};

// The files of a model's parts; null where there is none.
struct PackedModel {
  std::vector<std::shared_ptr<const PackedFile>> blocks;  // of a span, in order; or empty
  std::shared_ptr<const PackedFile> embedding;            // of the embedding and its norm
  std::shared_ptr<const PackedFile> head;  // of the final norm, and the head if its own
};

}  // namespace fallow
