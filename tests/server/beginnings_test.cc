#include "server/beginnings.h"

#include <string>

#include "base/worker_pool.h"
#include "catch2/catch_test_macros.hpp"
#include "server/kept_beginnings.h"
#include "tests/server/swarm_kit.h"

namespace fallow {
namespace {

// One letter for each further hash.
Beginnings Of(const std::string& letters) {
  std::string hashes;
  for (const char letter : letters) hashes.append(Beginnings::kHashBytes, letter);
  return Beginnings::Parse(hashes).value();
}

TEST_CASE("beginnings have in common what comes first", "[server][beginnings]") {
  struct Case {
    const char* a;
    const char* b;
    std::int64_t positions;
  };
  for (const Case& c : {Case{"", "", 0},
                        {"abc", "", 0},
                        {"abc", "abd", 32},
                        {"abc", "ab", 32},
                        {"abc", "xbc", 0},
                        {"abc", "abc", 48}}) {
    CAPTURE(c.a, c.b);
    CHECK(Of(c.a).InCommon(Of(c.b)) == c.positions);
    CHECK(Of(c.b).InCommon(Of(c.a)) == c.positions);
  }
  CHECK_FALSE(Beginnings::Parse(std::string(15, 'a')).has_value());
}

TEST_CASE("a beginning that was cut names whole hashes only", "[server][beginnings]") {
  for (const auto& [to, left] : {std::pair{100, 48}, {48, 48}, {47, 32}, {16, 16}, {15, 0}}) {
    Beginnings beginnings = Of("abc");
    beginnings.Truncate(to);
    CHECK(beginnings.positions() == left);
  }
}

// A cache of sequences of a few positions.
struct Kept {
  Kept() : backend(MakeHostBackend(*CpuKernels().front(), pool)) {
    const KvLayout layout{.blocks = 1, .kv_heads = 1, .head_dim = 16};
    cache = KvCache::Create(layout, 20 * layout.page_bytes(), *backend).value();
    kept.emplace(*cache);
  }

  void Keep(const std::string& letters, const SharingCircle& circle) {
    const Beginnings beginnings = Of(letters);
    const auto sequence = cache->Open(beginnings.positions()).value();
    REQUIRE(cache->Extend(sequence, beginnings.positions()).ok());
    kept->Keep(circle, beginnings, sequence);
    cache->Close(sequence);
  }

  WorkerPool pool{1};
  std::unique_ptr<Backend> backend;
  std::unique_ptr<KvCache> cache;
  std::optional<KeptBeginnings> kept;
};

TEST_CASE("what is kept is found by whom it belongs to", "[server][beginnings]") {
  Kept kept;
  const SharingCircle mine{NumberedPeer(1), {0, 3}};
  const SharingCircle others{NumberedPeer(2), {0, 3}};
  const SharingCircle other_blocks{NumberedPeer(1), {0, 2}};
  kept.Keep("ab", mine);
  kept.Keep("axyz", mine);
  CHECK(kept.kept->Find(mine, Of("abc")).positions == 32);
  const SharedBeginning longest = kept.kept->Find(mine, Of("axyq"));
  CHECK(longest.positions == 48);
  CHECK(kept.cache->size(longest.kv) == 64);
  CHECK(kept.kept->Find(mine, Of("b")).positions == 0);
  CHECK(kept.kept->Find(others, Of("ab")).positions == 0);
  CHECK(kept.kept->Find(other_blocks, Of("ab")).positions == 0);
}

TEST_CASE("what is kept takes no more room than it must", "[server][beginnings]") {
  Kept kept;
  const SharingCircle mine{NumberedPeer(1), {0, 3}};
  kept.Keep("ab", mine);
  kept.Keep("abc", mine);  // contains the first
  kept.Keep("a", mine);    // is contained
  CHECK(kept.kept->reserved_tokens() == 48);
  CHECK(kept.cache->reserved_tokens() == 48);
  kept.Keep("xy", mine);
  CHECK(kept.cache->reserved_tokens() == 80);
  CHECK(kept.kept->DropOldest());
  CHECK(kept.kept->Find(mine, Of("abc")).positions == 0);
  CHECK(kept.kept->Find(mine, Of("xy")).positions == 32);
  CHECK(kept.kept->DropOldest());
  CHECK_FALSE(kept.kept->DropOldest());
  CHECK(kept.cache->reserved_tokens() == 0);
}

TEST_CASE("the oldest gives way to what is new", "[server][beginnings]") {
  Kept kept;  // of 20 pages
  const SharingCircle mine{NumberedPeer(1), {0, 3}};
  for (const char* letters : {"abcdefg", "hijklmn", "opqrstu"}) kept.Keep(letters, mine);
  CHECK(kept.kept->Find(mine, Of("abcdefg")).positions == 0);
  CHECK(kept.kept->Find(mine, Of("opqrstu")).positions == 7 * kPagePositions);
  CHECK(kept.cache->reserved_tokens() <= kept.cache->capacity_tokens());
}

TEST_CASE("what has no room is not kept", "[server][beginnings]") {
  Kept kept;
  const SharingCircle mine{NumberedPeer(1), {0, 3}};
  const auto full = kept.cache->Open(19 * kPagePositions).value();
  kept.Keep("a", mine);  // its page and that of the copy are two
  CHECK(kept.kept->Find(mine, Of("a")).positions == 0);
  kept.cache->Close(full);
  CHECK(kept.cache->reserved_tokens() == 0);
}

}  // namespace
}  // namespace fallow
