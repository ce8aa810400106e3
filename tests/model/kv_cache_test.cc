#include "model/kv_cache.h"

#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <map>
#include <random>
#include <vector>

namespace fallow {
namespace {

// Caches of all tests have their memory from one back end.
Backend& Host() {
  static WorkerPool pool(1);
  static const std::unique_ptr<Backend> backend = MakeHostBackend(*CpuKernels().back(), pool);
  return *backend;
}

constexpr KvLayout kLayout{.format = KvFormat::kFp32, .blocks = 1, .kv_heads = 1, .head_dim = 64};

std::unique_ptr<KvCache> CacheOf(std::int64_t pages) {
  return KvCache::Create(kLayout, pages * kLayout.page_bytes(), Host()).value();
}

// Positions are told apart by one byte of their page each.
std::uint8_t& At(const KvCache& cache, KvCache::SequenceId sequence, std::int64_t position) {
  const std::int32_t page = cache.pages(sequence)[position / kPagePositions];
  return cache.view(0).head_page(page, 0)[position % kPagePositions];
}

// Extends the cache's sequence and the model of what it holds.
void Append(KvCache& cache, KvCache::SequenceId id, std::vector<std::uint8_t>& model,
            std::vector<std::uint8_t> values) {
  REQUIRE(cache.Extend(id, static_cast<std::int64_t>(values.size())).ok());
  for (std::uint8_t value : values) {
    At(cache, id, static_cast<std::int64_t>(model.size())) = value;
    model.push_back(value);
  }
}

std::vector<std::uint8_t> Held(const KvCache& cache, KvCache::SequenceId id) {
  std::vector<std::uint8_t> held;
  for (std::int64_t i = 0; i < cache.size(id); ++i) held.push_back(At(cache, id, i));
  return held;
}

TEST_CASE("a cache needs room for one page", "[model][kv_cache]") {
  Backend& backend = Host();
  for (std::int64_t bytes : {std::int64_t{-1}, std::int64_t{0}, kLayout.page_bytes() - 1}) {
    CHECK(KvCache::Create(kLayout, bytes, backend).status().code() ==
          absl::StatusCode::kInvalidArgument);
  }
  const auto cache = KvCache::Create(kLayout, 2 * kLayout.page_bytes() - 1, backend);
  CHECK((*cache)->capacity_tokens() == kPagePositions);
}

TEST_CASE("reservations are leases of whole pages", "[model][kv_cache]") {
  const auto cache = CacheOf(4);
  const auto first = cache->Open(17).value();
  CHECK(cache->reserved_tokens() == 32);
  CHECK(cache->limit(first) == 32);
  CHECK(cache->Open(33).status().code() == absl::StatusCode::kResourceExhausted);
  CHECK(cache->Open(-1).status().code() == absl::StatusCode::kInvalidArgument);
  const auto second = cache->Open(32).value();
  CHECK(cache->Open(1).status().code() == absl::StatusCode::kResourceExhausted);
  CHECK(cache->Extend(second, 33).code() == absl::StatusCode::kInvalidArgument);
  CHECK(cache->Extend(second, -1).code() == absl::StatusCode::kInvalidArgument);
  CHECK(cache->size(second) == 0);
  CHECK(cache->Extend(second, 32).ok());
  CHECK(cache->Extend(second, 1).code() == absl::StatusCode::kInvalidArgument);
  cache->Close(first);
  cache->Close(first);
  CHECK_FALSE(cache->Contains(first));
  CHECK(cache->reserved_tokens() == 32);
  CHECK(cache->Open(32).ok());
  CHECK(cache->Extend(first, 1).code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("a page that is taken again is zero", "[model][kv_cache]") {
  const auto cache = CacheOf(2);
  const auto first = cache->Open(32).value();
  REQUIRE(cache->Extend(first, 32).ok());
  for (int page : {0, 1}) {
    std::memset(cache->view(0).head_page(page, 0), 0xff, kLayout.page_bytes());
  }
  const auto check_zero = [&](KvCache::SequenceId id, int page) {
    const std::uint8_t* data = cache->view(0).head_page(cache->pages(id)[page], 0);
    CHECK(std::count(data, data + kLayout.page_bytes(), 0) == kLayout.page_bytes());
  };
  cache->Truncate(first, 16);
  REQUIRE(cache->Extend(first, 1).ok());
  check_zero(first, 1);
  cache->Close(first);
  const auto second = cache->Open(32).value();
  REQUIRE(cache->Extend(second, 32).ok());
  check_zero(second, 0);
  check_zero(second, 1);
}

TEST_CASE("a fork shares pages until one of the two writes", "[model][kv_cache]") {
  const auto cache = CacheOf(6);
  const auto parent = cache->Open(40).value();
  std::vector<std::uint8_t> parent_model;
  Append(*cache, parent, parent_model, std::vector<std::uint8_t>(20, 1));
  const auto fork = cache->Fork(parent, 18, 48).value();
  std::vector<std::uint8_t> fork_model(18, 1);
  CHECK(cache->size(fork) == 18);
  CHECK(cache->pages(fork)[0] == cache->pages(parent)[0]);
  CHECK(cache->pages(fork)[1] == cache->pages(parent)[1]);

  Append(*cache, fork, fork_model, {2, 2, 2});
  CHECK(cache->pages(fork)[0] == cache->pages(parent)[0]);
  CHECK(cache->pages(fork)[1] != cache->pages(parent)[1]);
  Append(*cache, parent, parent_model, {3});
  CHECK(Held(*cache, parent) == parent_model);
  CHECK(Held(*cache, fork) == fork_model);

  cache->Close(parent);
  Append(*cache, fork, fork_model, std::vector<std::uint8_t>(27, 4));
  CHECK(Held(*cache, fork) == fork_model);
  CHECK(cache->Extend(fork, 1).code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("a fork needs what its parent holds and a reservation of its own", "[model][kv_cache]") {
  const auto cache = CacheOf(3);
  const auto parent = cache->Open(32).value();
  REQUIRE(cache->Extend(parent, 20).ok());
  CHECK(cache->Fork(parent, 21, 30).status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(cache->Fork(parent, -1, 30).status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(cache->Fork(parent, 16, 15).status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(cache->Fork(99, 0, 1).status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(cache->Fork(parent, 16, 17).status().code() == absl::StatusCode::kResourceExhausted);
  const auto fork = cache->Fork(parent, 16, 16).value();
  CHECK(cache->size(fork) == 16);
  CHECK(cache->Fork(fork, 0, 0).ok());
}

TEST_CASE("a sequence that was cut to the middle of a shared page copies it", "[model][kv_cache]") {
  const auto cache = CacheOf(4);
  const auto parent = cache->Open(32).value();
  std::vector<std::uint8_t> parent_model;
  Append(*cache, parent, parent_model, std::vector<std::uint8_t>(32, 1));
  const auto fork = cache->Fork(parent, 32, 32).value();
  cache->Truncate(fork, 100);
  CHECK(cache->size(fork) == 32);
  cache->Truncate(fork, 5);
  std::vector<std::uint8_t> fork_model(5, 1);
  Append(*cache, fork, fork_model, {7, 7});
  CHECK(Held(*cache, parent) == parent_model);
  CHECK(Held(*cache, fork) == fork_model);
}

// Every open sequence can be filled to its reservation at any time, whatever was forked, cut and
// closed before, and holds what was written to it.
TEST_CASE("any history keeps contents and reservations", "[model][kv_cache]") {
  std::mt19937 random(7);
  const auto below = [&](std::int64_t n) { return static_cast<std::int64_t>(random() % n); };
  const auto cache = CacheOf(12);
  std::map<KvCache::SequenceId, std::vector<std::uint8_t>> models;
  const auto any = [&] { return std::next(models.begin(), below(models.size())); };
  for (int step = 0; step < 20000; ++step) {
    const auto choice = below(10);
    if (choice == 0 || models.empty()) {
      if (const auto id = cache->Open(below(80)); id.ok()) models[*id] = {};
    } else if (choice <= 2) {
      const auto parent = any();
      const std::int64_t shared = below(parent->second.size() + 1);
      if (const auto id = cache->Fork(parent->first, shared, shared + below(40)); id.ok()) {
        models[*id].assign(parent->second.begin(), parent->second.begin() + shared);
      }
    } else if (choice == 3) {
      const auto closed = any();
      cache->Close(closed->first);
      models.erase(closed);
    } else if (choice == 4) {
      const auto cut = any();
      cut->second.resize(below(cut->second.size() + 1));
      cache->Truncate(cut->first, static_cast<std::int64_t>(cut->second.size()));
    } else {
      const auto grown = any();
      const std::int64_t left = cache->limit(grown->first) - cache->size(grown->first);
      const std::int64_t rows = below(4) == 0 ? left : below(std::min<std::int64_t>(left, 9) + 1);
      Append(*cache, grown->first, grown->second, std::vector<std::uint8_t>(rows, below(256)));
    }
    for (const auto& [id, model] : models) REQUIRE(Held(*cache, id) == model);
  }
  for (auto& [id, model] : models) {
    const std::int64_t left = cache->limit(id) - cache->size(id);
    Append(*cache, id, model, std::vector<std::uint8_t>(left, 9));
  }
  for (const auto& [id, model] : models) CHECK(Held(*cache, id) == model);
}

}  // namespace
}  // namespace fallow
