// Packed weights from files: the same bits, nothing read from the checkpoint, and no file that is
// not whole ever used.

#include "model/weight_cache.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>

#include "absl/time/clock.h"
#include "catch2/catch_test_macros.hpp"
#include "model/cache_files.h"
#include "tests/model/cached_model.h"
#include "tests/model/files.h"

namespace fallow {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> FilesIn(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& file : fs::directory_iterator(directory)) {
    names.push_back(file.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<CacheEntry> Entries(const std::string& directory) {
  auto entries = ListCache(directory);
  REQUIRE(entries.ok());
  return *std::move(entries);
}

TEST_CASE("weights from a cache give the bits that the checkpoint's give", "[model][cache]") {
  struct Row {
    const char* checkpoint;
    const char* numeric_class;
    const char* weights;
  };
  for (const Row& row : {Row{"llama", "fp32", "auto"}, Row{"llama", "bf16", "auto"},
                         Row{"llama", "exact", "q8"}, Row{"llama-bias", "fp32", "auto"},
                         Row{"llama-untied", "exact", "q4"}, Row{"bloom", "fp32", "auto"},
                         Row{"llama-sharded", "bf16", "auto"}, Row{"gguf-Q4_1", "exact", "auto"},
                         Row{"gguf-mixed", "exact", "auto"}, Row{"gguf-IQ4_NL", "exact", "auto"}}) {
    CAPTURE(row.checkpoint, row.numeric_class);
    const TemporaryDirectory directory;
    CachedModel model(OpenGolden(row.checkpoint), row.numeric_class, row.weights);
    const std::vector<float> expected = model.Logits({});
    for (int start = 0; start < 2; ++start) {
      const PackedModel packed = model.Cached(directory.path());
      REQUIRE(packed.embedding);
      REQUIRE(packed.head);
      CHECK(std::ranges::none_of(packed.blocks, [](const auto& file) { return file == nullptr; }));
      CHECK(model.Logits(packed) == expected);
    }
    CHECK(std::ssize(FilesIn(directory.path())) == model.spec().num_blocks + 2);
  }
}

TEST_CASE("a warm start reads no tensor of the checkpoint", "[model][cache]") {
  const TemporaryDirectory directory;
  for (const char* const name : {"llama", "llama-untied", "gguf-Q4_1"}) {
    CAPTURE(name);
    CachedModel model(OpenGolden(name), "auto", "auto");
    const std::vector<float> expected = model.Logits(model.Cached(directory.path()));
    CachedModel sealed(std::make_unique<SealedCheckpoint>(OpenGolden(name)), model);
    CHECK(sealed.Logits(sealed.Cached(directory.path())) == expected);
  }
}

TEST_CASE("classes that keep weights alike share files, others do not", "[model][cache]") {
  const TemporaryDirectory directory;
  const auto files_after = [&](const char* name, const char* numeric_class, const char* weights) {
    CachedModel(OpenGolden(name), numeric_class, weights).Cached(directory.path());
    return std::ssize(FilesIn(directory.path()));
  };
  constexpr int kFiles = 6 + 2;
  CHECK(files_after("llama", "bf16", "auto") == kFiles);
  CHECK(files_after("llama", "bf16+kv8+r8", "auto") == kFiles);
  CHECK(files_after("llama", "fp32", "auto") == 2 * kFiles - 1);  // the final norm is the same
  CHECK(files_after("llama", "exact", "q8") == 3 * kFiles - 2);
  CHECK(files_after("llama", "exact", "q4") == 4 * kFiles - 3);
}

TEST_CASE("files that are not whole are made anew", "[model][cache]") {
  const TemporaryDirectory directory;
  CachedModel model(OpenGolden("llama"), "bf16", "auto");
  const std::vector<float> expected = model.Logits(model.Cached(directory.path()));
  const std::string path = Entries(directory.path()).back().path;
  const Bytes whole = ReadBytes(path);
  const auto flipped = [](Bytes bytes, std::size_t at) {
    bytes[at] ^= 1;
    return bytes;
  };
  Bytes longer = whole;
  longer.push_back(0);
  const std::vector<Bytes> damaged = {{},
                                      Bytes(whole.begin(), whole.begin() + 8),
                                      Bytes(whole.begin(), whole.begin() + 4096),
                                      Bytes(whole.begin(), whole.end() - 1),
                                      longer,
                                      flipped(whole, 0),
                                      flipped(whole, 8),
                                      flipped(whole, 16),
                                      flipped(whole, 23),
                                      flipped(whole, 24),
                                      flipped(whole, 100)};
  for (std::size_t i = 0; i < damaged.size(); ++i) {
    CAPTURE(i);
    fs::remove(path);  // who has the file mapped keeps it
    directory.Write(fs::path(path).filename(), std::string(damaged[i].begin(), damaged[i].end()));
    CHECK(!Entries(directory.path()).empty());
    LogLines log;
    CHECK(model.Logits(model.Cached(directory.path())) == expected);
    CHECK(log.lines().size() == 1);
    CHECK(ReadBytes(path) == whole);
  }
  SECTION("a file under another's name") {
    const std::string other = Entries(directory.path()).front().path;
    fs::copy_file(other, path, fs::copy_options::overwrite_existing);
    const std::vector<CacheEntry> entries = Entries(directory.path());
    CHECK(std::ranges::count_if(entries, [](const auto& entry) { return entry.status.ok(); }) == 7);
    CHECK(model.Logits(model.Cached(directory.path())) == expected);
    CHECK(ReadBytes(path) == whole);
  }
}

TEST_CASE("verification finds a bit that has changed in the weights", "[model][cache]") {
  const TemporaryDirectory directory;
  CachedModel(OpenGolden("llama"), "bf16", "auto").Cached(directory.path());
  const std::vector<CacheEntry> entries = Entries(directory.path());
  REQUIRE(entries.size() == 8);
  for (const CacheEntry& entry : entries) CHECK(VerifyEntry(entry).ok());
  Bytes bytes = ReadBytes(entries[3].path);
  bytes.back() ^= 16;
  fs::remove(entries[3].path);
  directory.Write(fs::path(entries[3].path).filename(), std::string(bytes.begin(), bytes.end()));
  for (const CacheEntry& entry : Entries(directory.path())) {
    CAPTURE(entry.part);
    CHECK(entry.status.ok());
    CHECK(absl::IsDataLoss(VerifyEntry(entry)) == (entry.key == entries[3].key));
  }
}

TEST_CASE("several writers at once leave whole files and no others", "[model][cache]") {
  const TemporaryDirectory directory;
  CachedModel alone(OpenGolden("llama"), "bf16", "auto");
  const std::vector<float> expected = alone.Logits({});
  std::vector<int> same(4);
  std::vector<std::thread> writers;
  for (int& result : same) {
    writers.emplace_back([&] {
      CachedModel model(OpenGolden("llama"), "bf16", "auto");
      result = model.Logits(model.Cached(directory.path())) == expected;
    });
  }
  for (std::thread& writer : writers) writer.join();
  CHECK(same == std::vector<int>{1, 1, 1, 1});
  CHECK(FilesIn(directory.path()).size() == 8);
  for (const CacheEntry& entry : Entries(directory.path())) CHECK(VerifyEntry(entry).ok());
}

TEST_CASE("what a dead writer left is removed when it is old", "[model][cache]") {
  const TemporaryDirectory directory;
  const std::string name(64, 'a');
  for (const char* const suffix :
       {".weights.a1b2c3", ".weights.d4e5f6", ".digests.g7h8i9", ".else"}) {
    directory.Write(name + suffix, "half");
  }
  directory.Write("notes.weights.abcdef", "somebody's");
  for (const auto& file : fs::directory_iterator(directory.path())) {
    if (file.path().extension() == ".d4e5f6") continue;
    fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(2));
  }
  REQUIRE(WeightCache::Open(directory.path()).ok());
  CHECK(FilesIn(directory.path()) ==
        std::vector<std::string>{name + ".else", name + ".weights.d4e5f6", "notes.weights.abcdef"});
  CHECK(*ClearCache(directory.path()) == 1);
  CHECK(FilesIn(directory.path()).size() == 2);
}

TEST_CASE("a directory that cannot be had or written to is an error, not a failure",
          "[model][cache]") {
  const TemporaryDirectory directory;
  directory.Write("file", "");
  CHECK(!WeightCache::Open(directory.File("file")).ok());
  CHECK(!WeightCache::Open(directory.File("file/below")).ok());
  CHECK(absl::IsNotFound(ListCache(directory.File("nowhere")).status()));

  CachedModel model(OpenGolden("llama"), "bf16", "auto");
  LogLines log;
  const PackedModel packed = model.Cached("/proc/self");  // nobody makes files there
  CHECK(!packed.embedding);
  CHECK(model.Logits(packed) == model.Logits({}));
  CHECK(log.lines().size() == 1);
}

TEST_CASE("entries say what they are, and go when they are removed", "[model][cache]") {
  const TemporaryDirectory directory;
  CachedModel model(OpenGolden("gguf-mixed"), "auto", "auto");
  model.Cached(directory.path());
  const std::vector<CacheEntry> entries = Entries(directory.path());
  REQUIRE(std::ssize(entries) == model.spec().num_blocks + 2);
  CHECK(entries.front().part == "head");
  CHECK(entries[1].part == "block 0");
  CHECK(entries.back().part == "embedding");
  CHECK(entries[1].checkpoint == "model.gguf");
  CHECK(entries[1].model == Hex(model.manifest()));
  CHECK(entries.front().types.empty());  // but a norm
  CHECK(entries[1].types == "q4_1");
  CHECK(entries.back().types == "q8");
  CHECK(entries[1].bytes == static_cast<std::int64_t>(fs::file_size(entries[1].path)));

  const auto old = fs::file_time_type::clock::now() - std::chrono::hours(48);
  for (const CacheEntry& entry : entries) fs::last_write_time(entry.path, old);
  CHECK(Entries(directory.path()).front().last_used < absl::Now() - absl::Hours(47));
  model.Cached(directory.path());
  CHECK(Entries(directory.path()).front().last_used > absl::Now() - absl::Hours(1));

  CHECK(RemoveEntry(entries.front()).ok());
  CHECK(RemoveEntry(entries.front()).ok());
  CHECK(Entries(directory.path()).size() == entries.size() - 1);
}

TEST_CASE("an option names a directory, or the usual one", "[model][cache]") {
  CHECK(*CacheDirectory("") == "");
  CHECK(*CacheDirectory("/some/where") == "/some/where");
  const Environment environment({"FALLOW_CACHE", "XDG_CACHE_HOME", "HOME"});
  CHECK(absl::IsInvalidArgument(CacheDirectory("auto").status()));
  environment.Set("HOME", "/home/a");
  CHECK(*CacheDirectory("auto") == "/home/a/.cache/fallow");
  environment.Set("XDG_CACHE_HOME", "/caches");
  CHECK(*CacheDirectory("auto") == "/caches/fallow");
  environment.Set("FALLOW_CACHE", "/own");
  CHECK(*CacheDirectory("auto") == "/own");
}

}  // namespace
}  // namespace fallow
