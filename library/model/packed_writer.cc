#include "model/packed_writer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace fallow {

absl::StatusOr<std::unique_ptr<PackedFileWriter>> PackedFileWriter::Create(const std::string& path,
                                                                           PackedHeader header) {
  FALLOW_ASSIGN_OR_RETURN(auto file, PendingFile::Create(path));
  PlaceTensors(header.tensors);
  return std::unique_ptr<PackedFileWriter>(
      new PackedFileWriter(std::move(file), std::move(header)));
}

PackedFileWriter::PackedFileWriter(std::unique_ptr<PendingFile> file, PackedHeader header)
    : file_(std::move(file)),
      header_(std::move(header)),
      begin_(std::ssize(EncodePackedHeader(header_))) {}

absl::Status PackedFileWriter::Add(std::span<const std::uint8_t> tensor) {
  if (next_ == header_.tensors.size() || header_.tensors[next_].bytes != std::ssize(tensor)) {
    return absl::InternalError(absl::StrCat("packed file: tensor ", next_, " of ", tensor.size(),
                                            " bytes is not the header's"));
  }
  static constexpr std::uint8_t kZeros[kPackedAlignment] = {};
  const std::int64_t gap = header_.tensors[next_].offset - end_;
  FALLOW_RETURN_IF_ERROR(Append({kZeros, static_cast<std::size_t>(gap)}));
  ++next_;
  return Append(tensor);
}

absl::Status PackedFileWriter::Append(std::span<const std::uint8_t> bytes) {
  FALLOW_RETURN_IF_ERROR(file_->Write(begin_ + end_, bytes));
  hasher_.Add(bytes);
  end_ += std::ssize(bytes);
  return absl::OkStatus();
}

absl::Status PackedFileWriter::Publish() {
  if (next_ != header_.tensors.size()) {
    return absl::InternalError("packed file: a tensor is missing");
  }
  header_.contents = hasher_.Finish();
  FALLOW_RETURN_IF_ERROR(file_->Write(0, EncodePackedHeader(header_)));
  return file_->Publish();
}

}  // namespace fallow
