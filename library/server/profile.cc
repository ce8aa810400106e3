#include "fallow/profile.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/monotonic_time.h"
#include "base/status_macros.h"
#include "kernels/profile.h"
#include "model/sampler.h"
#include "server/limits.h"
#include "server/model_host.h"

namespace fallow {
namespace {

constexpr SamplingOptions kSampling = {.do_sample = true, .top_k = 50, .top_p = 0.95};

absl::Status Check(const ProfileOptions& options) {
  if (options.prompt_tokens >= 1 && options.new_tokens >= 1) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("profile: ", options.prompt_tokens,
                                                 " prompt tokens and ", options.new_tokens,
                                                 " new ones, expected at least 1 of each"));
}

// One sequence that is run through the blocks.
class Walk {
 public:
  Walk(const ServedModel& model, KernelClock& clock) : model_(model), clock_(clock) {
    hidden_.resize(model.span->max_rows() * model.spec.hidden_size);
    shortlist_.resize(std::min(CandidatesNeeded(kSampling), model.spec.vocab_size));
  }
  ~Walk() {
    if (open_) model_.cache->Close(sequence_);
  }

  absl::Status Open(std::int64_t tokens) {
    FALLOW_ASSIGN_OR_RETURN(sequence_, model_.cache->Open(tokens));
    open_ = true;
    return absl::OkStatus();
  }

  absl::Status Prefill(std::int64_t tokens) {
    while (tokens > 0) {
      const std::int64_t rows = std::min<std::int64_t>(tokens, kPrefillRows);
      FALLOW_RETURN_IF_ERROR(Pass(rows));
      tokens -= rows;
      if (tokens == 0) FALLOW_RETURN_IF_ERROR(Draw(rows));
    }
    return absl::OkStatus();
  }

  absl::Status Decode(std::int64_t tokens) {
    for (; tokens > 0; --tokens) {
      FALLOW_RETURN_IF_ERROR(Pass(1));
      FALLOW_RETURN_IF_ERROR(Draw(1));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Pass(std::int64_t rows) {
    FALLOW_RETURN_IF_ERROR(Embed(rows));
    const PassRun run = {sequence_, model_.cache->size(sequence_), rows};
    failed_.assign(rows, 0);
    return model_.span->Forward({&run, 1}, *model_.cache, hidden_.data(), failed_);
  }

  absl::Status Embed(std::int64_t rows) {
    const std::int64_t first = model_.cache->size(sequence_);
    if (!model_.embeds) {  // some other hop does: what it sends is as good as noise
      for (std::int64_t i = 0; i < rows * model_.spec.hidden_size; ++i) {
        hidden_[i] = std::sin(static_cast<float>((first + 1) * (i + 1)));
      }
      return absl::OkStatus();
    }
    ids_.resize(rows);
    for (std::int64_t i = 0; i < rows; ++i) {
      ids_[i] = static_cast<TokenId>((first + i) * 7919 % model_.spec.vocab_size);
    }
    return model_.head->Embed(ids_, hidden_.data());
  }

  // The next token, of the last of `rows` rows.
  absl::Status Draw(std::int64_t rows) {
    if (!model_.samples) return absl::OkStatus();
    const float* last = &hidden_[(rows - 1) * model_.spec.hidden_size];
    std::uint8_t failed = 0;
    FALLOW_RETURN_IF_ERROR(
        model_.head->Shortlist(last, 1, std::ssize(shortlist_), shortlist_.data(), &failed));
    const KernelWork work = {.row_bytes = static_cast<double>(std::span(shortlist_).size_bytes())};
    clock_.Time("sample", work, [&] { SampleToken(shortlist_, kSampling, 0, 0); });
    return absl::OkStatus();
  }

  const ServedModel& model_;
  KernelClock& clock_;
  bool open_ = false;
  KvCache::SequenceId sequence_ = 0;
  std::vector<float> hidden_;
  std::vector<ShortlistEntry> shortlist_;
  std::vector<TokenId> ids_;
  std::vector<std::uint8_t> failed_;
};

KernelProfile Describe(const KernelTime& time, const KernelLimits& limits) {
  const KernelWork& work = time.work;
  return {.kernel = time.kernel,
          .calls = time.calls,
          .seconds = time.seconds,
          .bytes = work.stored_bytes > 0 ? work.stored_bytes : work.row_bytes,
          .multiply_adds = work.all_multiply_adds(),
          .least_seconds = LeastSeconds(work, limits)};
}

// Times `run` and the kernels in it.
absl::StatusOr<PhaseProfile> Measure(KernelClock& clock, const KernelLimits& limits, int tokens,
                                     absl::FunctionRef<absl::Status()> run) {
  clock.Take();
  const absl::Time start = MonotonicNow();
  FALLOW_RETURN_IF_ERROR(run());
  PhaseProfile phase{.seconds = absl::ToDoubleSeconds(MonotonicNow() - start), .kernels = {}};
  phase.tokens_per_second = tokens / phase.seconds;
  for (const KernelTime& time : clock.Take()) phase.kernels.push_back(Describe(time, limits));
  return phase;
}

}  // namespace

absl::StatusOr<Profile> ProfileModel(const ProfileOptions& options) {
  FALLOW_RETURN_IF_ERROR(Check(options));
  KernelClock clock;
  BlockServer::Options server;
  server.checkpoint = options.checkpoint;
  server.blocks = options.blocks;
  server.numeric_class = options.numeric_class;
  server.weights = options.weights;
  server.threads = options.threads;
  server.device = "cpu";
  FALLOW_ASSIGN_OR_RETURN(const auto host, ModelHost::Load(server, &clock));
  const ServedModel& model = host->served();

  const std::int64_t tokens = std::int64_t{options.prompt_tokens} + options.new_tokens;
  if (tokens > model.spec.max_positions) {
    return absl::InvalidArgumentError(absl::StrCat("profile: ", tokens, " tokens, the model has ",
                                                   model.spec.max_positions, " positions"));
  }

  WorkerPool& pool = host->pool();
  FALLOW_ASSIGN_OR_RETURN(const KernelLimits limits,
                          MeasureKernelLimits(pool, host->isa(), host->weight_bytes()));
  std::vector<std::string> devices;
  for (const KvPlace& place : model.span->kv_places()) devices.push_back(place.backend->name());
  Profile profile{.device = absl::StrJoin(devices, ", "),
                  .numeric_class = model.numeric_class,
                  .threads = pool.size(),
                  .memory_bytes_per_second = limits.memory_bytes,
                  .cache_bytes_per_second = limits.cache_bytes,
                  .prefill = {},
                  .decode = {}};
  for (const bool warm : {false, true}) {  // the first touches memory for the first time
    Walk walk(model, clock);
    FALLOW_RETURN_IF_ERROR(walk.Open(tokens));
    const int new_tokens = warm ? options.new_tokens : 1;
    const auto prefill = [&] { return walk.Prefill(options.prompt_tokens); };
    const auto decode = [&] { return walk.Decode(new_tokens); };
    FALLOW_ASSIGN_OR_RETURN(profile.prefill,
                            Measure(clock, limits, options.prompt_tokens, prefill));
    FALLOW_ASSIGN_OR_RETURN(profile.decode, Measure(clock, limits, new_tokens, decode));
  }
  return profile;
}

}  // namespace fallow
