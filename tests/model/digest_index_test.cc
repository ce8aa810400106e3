// Digests that are remembered, and when they are not.

#include "model/digest_index.h"

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "absl/time/clock.h"
#include "catch2/catch_test_macros.hpp"
#include "model/cache_files.h"
#include "tests/model/files.h"

namespace fallow {
namespace {

namespace fs = std::filesystem;

constexpr Digest kManifest{1};
constexpr Digest kDigest{2, 3};

// A copy of a checkpoint, and a cache beside it.
struct Copy {
  Copy() {
    for (const char* const name : {"config.json", "model.safetensors"}) {
      checkpoint.Copy(GoldenPath(std::string("llama/") + name), name);
    }
  }

  // Whether a start, now or later, has to read the checkpoint.
  bool Reads(const Digest& manifest = kManifest, absl::Duration later = absl::Minutes(1)) {
    const auto opened = Checkpoint::Open(checkpoint.path());
    REQUIRE(opened.ok());
    DigestIndex index = DigestIndex::Open(cache.path(), **opened, manifest, absl::Now() + later);
    bool computed = false;
    const auto digest = index.Get("block 0", [&]() -> absl::StatusOr<Digest> {
      computed = true;
      return kDigest;
    });
    CHECK(*digest == kDigest);
    index.Save();
    return computed;
  }

  TemporaryDirectory checkpoint;
  TemporaryDirectory cache;
};

TEST_CASE("a digest is computed once while the files stay as they are", "[model][cache]") {
  Copy copy;
  CHECK(copy.Reads());
  CHECK(!copy.Reads());
  CHECK(copy.Reads(Digest{9}));
  CHECK(!copy.Reads(Digest{9}));
  CHECK(copy.Reads());
}

TEST_CASE("a file that was changed, replaced or touched is read again", "[model][cache]") {
  Copy copy;
  const std::string path = copy.checkpoint.File("model.safetensors");
  CHECK(copy.Reads());
  fs::last_write_time(path, fs::last_write_time(path) + std::chrono::seconds(1));
  CHECK(copy.Reads());
  CHECK(!copy.Reads());
  const auto time = fs::last_write_time(path);
  fs::copy_file(path, path + ".new");
  fs::last_write_time(path + ".new", time);
  fs::rename(path + ".new", path);
  CHECK(copy.Reads());
  CHECK(!copy.Reads());
}

TEST_CASE("files that were changed a moment ago are not remembered", "[model][cache]") {
  Copy copy;
  CHECK(copy.Reads(kManifest, absl::ZeroDuration()));
  CHECK(copy.Reads(kManifest, absl::ZeroDuration()));
  CHECK(copy.Reads());
  CHECK(!copy.Reads());
}

TEST_CASE("a damaged index is as good as none", "[model][cache]") {
  Copy copy;
  CHECK(copy.Reads());
  const fs::path path = fs::directory_iterator(copy.cache.path())->path();
  Bytes bytes = ReadBytes(path);
  const std::string hex = Hex(kDigest);
  const auto place = std::search(bytes.begin(), bytes.end(), hex.begin(), hex.end());
  REQUIRE(place != bytes.end());
  *place = '7';
  for (const std::string& damaged :
       {std::string(bytes.begin(), bytes.end()), std::string("{\"check\":1,\"entry\":{}}"),
        std::string("{\"check\":\"\"}"), std::string("[1]"), std::string()}) {
    CAPTURE(damaged);
    copy.cache.Write(path.filename(), damaged);
    CHECK(copy.Reads());
    CHECK(!copy.Reads());
  }
}

TEST_CASE("without a directory nothing is remembered", "[model][cache]") {
  Copy copy;
  fs::remove(copy.cache.path());
  CHECK(copy.Reads());
  CHECK(copy.Reads());
  CHECK(!fs::exists(copy.cache.path()));
}

}  // namespace
}  // namespace fallow
