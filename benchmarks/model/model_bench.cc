// A whole model in one process, on one thread and on two, in its own numeric class and in fp32.
//
//   model_bench decode|prefill|batch MODEL [--json]      FALLOW_ISA chooses the instruction set
//
// decode: one sequence, beside reading as many bytes as the weights have, between the tokens.
// prefill: prompts, beside the products that the blocks need for them, done out of the cache.
// batch: several sequences at once, beside the nearer of the two limits.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/worker_pool.h"
#include "fallow/block_server.h"
#include "fallow/distributed_model.h"
#include "kernels/kernel_table.h"
#include "kernels/limits/machine_limits.h"
#include "report.h"

namespace fallow {
namespace {

constexpr int kRounds = 9;
constexpr int kTokens = 32;  // a round

template <typename T>
T Require(absl::StatusOr<T> value) {
  if (value.ok()) return *std::move(value);
  std::fprintf(stderr, "model_bench: %s\n", value.status().ToString().c_str());
  std::exit(1);
}

// Bytes of all packed weights, each of which a token needs once. (Of an embedding that is not also
// the head only a row is needed; such a model's limit is set too low.)
std::int64_t WeightBytes(const std::string& checkpoint, const std::string& numeric_class) {
  const auto server = Require(BlockServer::Start({.checkpoint = checkpoint,
                                                  .listen = "127.0.0.1:0",
                                                  .numeric_class = numeric_class,
                                                  .kv_memory = 16 << 20}));
  return server->stats().weight_bytes;
}

// Multiply-adds with the weights of all blocks that a token takes; those of attention not counted.
double ProductsPerToken(const ModelSpec& spec) {
  const double hidden = spec.hidden_size;
  const double heads = static_cast<double>(spec.num_heads + spec.num_kv_heads) * spec.head_dim;
  const double mlp = static_cast<double>(spec.intermediate_size) * (spec.gated ? 3 : 2);
  return spec.num_blocks * hidden * (2 * heads + mlp);
}

std::vector<TokenId> Prompt(const ModelSpec& spec, int length, int seed) {
  std::vector<TokenId> ids(length);
  for (int i = 0; i < length; ++i) ids[i] = (seed * 7919 + i * 104729) % spec.vocab_size;
  return ids;
}

// A model and the limits of the threads that it runs on.
struct Subject {
  Subject(const std::string& checkpoint, const std::string& numeric_class, int threads,
          std::int64_t weight_bytes)
      : model(Require(DistributedModel::Load({.checkpoint = checkpoint,
                                              .numeric_class = numeric_class,
                                              .threads = threads,
                                              .kv_memory = 512 << 20}))),
        pool(threads),
        read(Require(ReadLimit::Create(pool, weight_bytes))) {
    const std::string full_class = Require(model->numeric_class());
    const std::string_view isa = ChooseCpuKernels(std::getenv("FALLOW_ISA"))->name;
    short_class = full_class.substr(0, full_class.find('/'));
    const WeightType type = short_class == "fp32"   ? WeightType::kFp32
                            : short_class == "bf16" ? WeightType::kBf16
                                                    : WeightType::kQ4_1;  // SmolLM2's blocks
    multiply_adds = MeasureMultiplyAdds(pool, isa, type);
  }

  std::string Name(const std::string& what) const {
    return what + " " + short_class + " " + std::to_string(pool.size()) + "T";
  }

  std::unique_ptr<DistributedModel> model;
  WorkerPool pool;
  std::unique_ptr<ReadLimit> read;
  std::string short_class;
  double multiply_adds = 0;  // a second
};

// Seconds between tokens of `sequences` sequences, `kTokens` times.
std::vector<double> TimeSteps(Subject& subject, int sequences) {
  std::vector<std::vector<TokenId>> prompts;
  for (int i = 0; i < sequences; ++i) prompts.push_back(Prompt(subject.model->spec(), 16, i));
  std::vector<double> times;
  double last = 0;
  Require(subject.model->GenerateBatch(prompts,
                                       {.max_new_tokens = kTokens + 1, .ignore_end_tokens = true},
                                       [&](int prompt, TokenId) {
                                         if (prompt == 0) {
                                           const double now = Now();
                                           if (last > 0) times.push_back(now - last);
                                           last = now;
                                         }
                                         return true;
                                       }));
  return times;
}

struct DecodeTimes {
  double step = 0;
  double read = 0;
};

DecodeTimes TimeDecode(Subject& subject, int sequences) {
  std::vector<double> steps, reads;
  for (int round = 0; round < kRounds; ++round) {
    for (const double time : TimeSteps(subject, sequences)) steps.push_back(time);
    for (int i = 0; i < kTokens; ++i) reads.push_back(subject.read->Measure());
  }
  return {Median(steps), Median(reads)};
}

void Decode(const Report& report, Subject& subject) {
  const DecodeTimes times = TimeDecode(subject, 1);
  report.Add({subject.Name("decode"), 1 / times.step, "tokens/s", 1 / times.read,
              "reading the same bytes"});
}

void Batch(const Report& report, Subject& subject) {
  const double products = ProductsPerToken(subject.model->spec());
  for (const int sequences : {1, 2, 4, 8, 16, 32}) {
    const DecodeTimes times = TimeDecode(subject, sequences);
    report.Add({subject.Name("batch of " + std::to_string(sequences)), sequences / times.step,
                "tokens/s", std::min(sequences / times.read, subject.multiply_adds / products),
                "reading once a step, or products"});
  }
}

void Prefill(const Report& report, Subject& subject) {
  const double limit = subject.multiply_adds / ProductsPerToken(subject.model->spec());
  for (const int length : {32, 128, 512, 1024}) {
    std::vector<double> rates;
    for (int round = 0; round < kRounds; ++round) {
      const auto generation = Require(subject.model->Generate(
          Prompt(subject.model->spec(), length, length + round),  // begins as no other
          {.max_new_tokens = 1, .ignore_end_tokens = true}, [](TokenId) { return true; }));
      rates.push_back(generation.prefill_tokens_per_second);
    }
    report.Add({subject.Name("prefill of " + std::to_string(length)), Median(rates), "tokens/s",
                limit, "products out of the cache"});
  }
}

int Main(int count, char** arguments) {
  const std::string_view command = count > 2 ? arguments[1] : "";
  void (*const measure)(const Report&, Subject&) = command == "decode"    ? Decode
                                                   : command == "prefill" ? Prefill
                                                   : command == "batch"   ? Batch
                                                                          : nullptr;
  if (measure == nullptr) {
    std::fprintf(stderr, "usage: model_bench decode|prefill|batch MODEL [--json]\n");
    return 2;
  }
  const Report report(count > 3 && std::strcmp(arguments[3], "--json") == 0);
  for (const char* numeric_class : {"auto", "fp32"}) {
    const std::int64_t bytes = WeightBytes(arguments[2], numeric_class);
    for (const int threads : {1, 2}) {
      Subject subject(arguments[2], numeric_class, threads, bytes);
      measure(report, subject);
    }
  }
  return 0;
}

}  // namespace
}  // namespace fallow

int main(int count, char** arguments) { return fallow::Main(count, arguments); }
