// One start of a model: says when its first token is there, then how fast others follow, and what
// memory the process has. benchmarks/model/start.py starts it and takes the time.
//
//   start_once MODEL CACHE      CACHE: as the option `cache`; "" for none
//
// It ends when its input does, so that several can be alive at once.
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "fallow/distributed_model.h"
#include "report.h"

namespace fallow {
namespace {

constexpr int kTokens = 128;
constexpr int kRounds = 9;

double MemoryMib(const std::string& field) {
  std::ifstream file("/proc/self/smaps_rollup");
  for (std::string word; file >> word;) {
    double kib = 0;
    if (word == field && file >> kib) return kib / 1024;
  }
  return 0;
}

int Main(const char* checkpoint, const char* cache) {
  const auto model =
      DistributedModel::Load({.checkpoint = checkpoint, .kv_memory = 64 << 20, .cache = cache});
  if (!model.ok()) {
    std::fprintf(stderr, "start_once: %s\n", model.status().ToString().c_str());
    return 1;
  }
  std::vector<double> rates;
  for (int round = 0; round < kRounds; ++round) {
    bool first = round == 0;
    const auto generated =
        (*model)->Generate(std::vector<TokenId>{1, 2, 3, 4},
                           {.max_new_tokens = kTokens, .ignore_end_tokens = true}, [&](TokenId) {
                             if (first) std::puts("first token");
                             if (first) std::fflush(stdout);
                             first = false;
                             return true;
                           });
    if (!generated.ok()) return 1;
    rates.push_back(generated->decode_tokens_per_second);
  }
  std::printf("%.2f\n", Median(rates));
  std::fflush(stdout);
  while (std::getchar() == '\n') {  // each line asks anew
    std::printf("%.2f %.2f\n", MemoryMib("Rss:"), MemoryMib("Pss:"));
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace fallow

int main(int count, char** arguments) {
  if (count == 3) return fallow::Main(arguments[1], arguments[2]);
  std::fprintf(stderr, "usage: start_once MODEL CACHE\n");
  return 2;
}
