#include "client/private_ends.h"

#include <algorithm>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace fallow {
namespace {

constexpr std::int64_t kRows = 128;  // of one pass

}  // namespace

PrivateEnds::PrivateEnds(const ModelSpec& spec, WireFormat format, int threads)
    : spec_(spec), format_(format), pool_(WorkerPool::ForModel(threads)) {}

absl::StatusOr<std::unique_ptr<PrivateEnds>> PrivateEnds::Load(const Checkpoint& checkpoint,
                                                               const Family& family,
                                                               const ModelSpec& spec,
                                                               const NumericClass& numeric_class,
                                                               int threads) {
  FALLOW_RETURN_IF_ERROR(WorkerPool::Check(threads));
  const KernelTable* kernels = ChooseCpuKernels(std::getenv("FALLOW_ISA"));
  if (kernels == nullptr) {
    return absl::InvalidArgumentError("FALLOW_ISA names no instruction set of this machine");
  }
  auto ends = std::unique_ptr<PrivateEnds>(
      new PrivateEnds(spec, WireFormatOf(numeric_class.ToString()), threads));
  ends->backend_ = MakeHostBackend(*kernels, *ends->pool_);
  FALLOW_ASSIGN_OR_RETURN(
      ends->head_, Head::Load(checkpoint, family, spec, numeric_class, {}, kRows, *ends->backend_));
  return ends;
}

absl::StatusOr<std::string> PrivateEnds::Embed(std::span<const TokenId> ids) const {
  std::string rows;
  std::vector<float> hidden(kRows * spec_.hidden_size);
  for (std::size_t begin = 0; begin < ids.size(); begin += kRows) {
    const auto part = ids.subspan(begin, std::min<std::size_t>(kRows, ids.size() - begin));
    absl::MutexLock lock(&mutex_);
    FALLOW_RETURN_IF_ERROR(head_->Embed(part, hidden.data()));
    EncodeRows(format_, hidden.data(), static_cast<std::int64_t>(part.size()), spec_.hidden_size,
               rows);
  }
  return rows;
}

absl::StatusOr<std::vector<float>> PrivateEnds::Logits(std::string_view rows,
                                                       std::int64_t count) const {
  std::vector<float> hidden(count * spec_.hidden_size);
  FALLOW_RETURN_IF_ERROR(DecodeRows(format_, rows, count, spec_.hidden_size, hidden.data()));
  std::vector<float> logits(count * spec_.vocab_size);
  absl::MutexLock lock(&mutex_);
  for (std::int64_t begin = 0; begin < count; begin += kRows) {
    FALLOW_RETURN_IF_ERROR(head_->Logits(hidden.data() + begin * spec_.hidden_size,
                                         std::min(kRows, count - begin),
                                         logits.data() + begin * spec_.vocab_size));
  }
  return logits;
}

}  // namespace fallow
