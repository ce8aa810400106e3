#include "model/packed_file.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "model/hasher.h"

namespace fallow {
namespace {

// Part of a mapped file, which must not be written to.
class MappedBuffer : public Buffer {
 public:
  MappedBuffer(std::shared_ptr<const MappedFile> file, std::span<const std::uint8_t> part)
      : file_(std::move(file)), part_(part) {}

  std::uint8_t* data() override { return const_cast<std::uint8_t*>(part_.data()); }
  std::int64_t size() const override { return std::ssize(part_); }

 private:
  const std::shared_ptr<const MappedFile> file_;
  const std::span<const std::uint8_t> part_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const PackedFile>> PackedFile::Open(const std::string& path) {
  FALLOW_ASSIGN_OR_RETURN(std::shared_ptr<const MappedFile> file, MappedFile::Open(path));
  FALLOW_ASSIGN_OR_RETURN(ParsedHeader parsed, ParsePackedHeader(file->bytes(), path));
  return std::shared_ptr<const PackedFile>(new PackedFile(std::move(file), std::move(parsed)));
}

const PackedTensor* PackedFile::Find(const std::string& slot) const {
  const auto& tensors = parsed_.header.tensors;
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const PackedTensor& tensor) { return tensor.slot == slot; });
  return found == tensors.end() ? nullptr : &*found;
}

absl::StatusOr<Weight> PackedFile::Matrix(const std::string& slot, Backend& backend) const {
  const PackedTensor* tensor = Find(slot);
  if (tensor == nullptr || !tensor->type) {
    return absl::NotFoundError(absl::StrCat(file_->path(), ": no matrix ", slot));
  }
  auto memory = std::make_shared<MappedBuffer>(
      file_, file_->bytes().subspan(parsed_.begin + tensor->offset, tensor->bytes));
  return backend.Use({.type = *tensor->type, .rows = tensor->rows, .cols = tensor->cols},
                     std::move(memory));
}

std::vector<float> PackedFile::Vector(const std::string& slot) const {
  const PackedTensor* tensor = Find(slot);
  if (tensor == nullptr || tensor->type) return {};
  std::vector<float> values(tensor->rows);
  std::memcpy(values.data(), file_->bytes().data() + parsed_.begin + tensor->offset, tensor->bytes);
  return values;
}

absl::Status PackedFile::CheckContents() const {
  ByteHasher hasher;
  hasher.Add(file_->bytes().subspan(parsed_.begin));
  if (hasher.Finish() == parsed_.header.contents) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(file_->path(), ": the weights are damaged"));
}

}  // namespace fallow
