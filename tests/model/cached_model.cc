#include "tests/model/cached_model.h"

#include <stdlib.h>
#include <sys/mman.h>

#include <mutex>
#include <utility>

#include "base/log.h"
#include "model/block_span.h"
#include "model/head.h"

namespace fallow {
namespace {

constexpr std::int64_t kRows = 8;
constexpr std::size_t kSealedBytes = std::size_t{1} << 32;

// In threads, where REQUIRE cannot be used.
template <typename T>
T Must(absl::StatusOr<T> value) {
  return std::move(value).value();
}
void Must(const absl::Status& status) { Must<int>(status.ok() ? absl::StatusOr<int>(0) : status); }

}  // namespace

SealedCheckpoint::SealedCheckpoint(std::unique_ptr<Checkpoint> whole)
    : whole_(std::move(whole)),
      sealed_(static_cast<std::uint8_t*>(mmap(
          nullptr, kSealedBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {}

SealedCheckpoint::~SealedCheckpoint() { munmap(sealed_, kSealedBytes); }

absl::StatusOr<StoredTensor> SealedCheckpoint::Find(std::string_view name) const {
  auto tensor = whole_->Find(name);
  if (tensor.ok()) tensor->bytes = {sealed_, tensor->bytes.size()};
  return tensor;
}

CachedModel::CachedModel(std::unique_ptr<Checkpoint> checkpoint, const std::string& numeric_class,
                         const std::string& weights)
    : checkpoint_(std::move(checkpoint)),
      family_(Must(Family::For(*checkpoint_))),
      spec_(Must(family_.ReadSpec(*checkpoint_))),
      numeric_class_(Must(NumericClass::Choose(numeric_class, weights, *checkpoint_))),
      manifest_(Must(ManifestDigest(*checkpoint_, family_, spec_))),
      ends_(Must(EndsDigest(*checkpoint_, family_, spec_))),
      backend_(MakeHostBackend(*CpuKernels().front(), pool_)) {
  for (int block = 0; block < spec_.num_blocks; ++block) {
    blocks_.push_back(Must(BlockDigest(*checkpoint_, family_, spec_, block)));
  }
}

CachedModel::CachedModel(std::unique_ptr<Checkpoint> checkpoint, const CachedModel& other)
    : checkpoint_(std::move(checkpoint)),
      family_(other.family_),
      spec_(other.spec_),
      numeric_class_(other.numeric_class_),
      manifest_(other.manifest_),
      blocks_(other.blocks_),
      ends_(other.ends_),
      backend_(MakeHostBackend(*CpuKernels().front(), pool_)) {}

PackedModel CachedModel::Cached(const std::string& directory) {
  return Must(WeightCache::Open(directory))
      ->Get({.source = source(),
             .manifest = manifest_,
             .blocks = blocks_,
             .first_block = 0,
             .embedding = true,
             .head = true,
             .ends = ends_});
}

std::vector<float> CachedModel::Logits(const PackedModel& packed) {
  const std::vector<TokenId> ids = {1, 5, 9, 2, 7};
  const auto head = Must(Head::Load(*checkpoint_, family_, spec_, numeric_class_,
                                    {.embed = true, .logits = true}, kRows, *backend_, packed));
  const auto span = Must(BlockSpan::Load(*checkpoint_, family_, spec_, {0, spec_.num_blocks},
                                         numeric_class_, kRows, *backend_, packed));
  const auto cache =
      Must(KvCache::Create(span->kv_layout(), 4 * span->kv_layout().page_bytes(), *backend_));
  const PassRun run{
      .sequence = Must(cache->Open(std::ssize(ids))), .position = 0, .rows = std::ssize(ids)};
  std::vector<float> hidden(ids.size() * spec_.hidden_size);
  std::vector<std::uint8_t> failed(ids.size());
  std::vector<float> logits(ids.size() * spec_.vocab_size);
  Must(head->Embed(ids, hidden.data()));
  Must(span->Forward({&run, 1}, *cache, hidden.data(), failed));
  Must(head->Logits(hidden.data(), std::ssize(ids), logits.data()));
  return logits;
}

struct LogLines::State {
  std::mutex mutex;
  std::vector<std::string> lines;
};

LogLines::LogLines() : state_(std::make_shared<State>()) {
  SetLogSink([state = state_](LogLevel, std::string_view message) {
    const std::lock_guard lock(state->mutex);
    state->lines.emplace_back(message);
  });
}

LogLines::~LogLines() { SetLogSink({}); }

std::vector<std::string> LogLines::lines() const {
  const std::lock_guard lock(state_->mutex);
  return state_->lines;
}

Environment::Environment(std::vector<std::string> names) {
  for (const std::string& name : names) {
    const char* value = getenv(name.c_str());
    before_.emplace_back(name, value ? std::optional<std::string>(value) : std::nullopt);
    unsetenv(name.c_str());
  }
}

Environment::~Environment() {
  for (const auto& [name, value] : before_) {
    if (value) {
      setenv(name.c_str(), value->c_str(), 1);
    } else {
      unsetenv(name.c_str());
    }
  }
}

void Environment::Set(const char* name, const char* value) const { setenv(name, value, 1); }

}  // namespace fallow
