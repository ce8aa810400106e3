// The digests of model/weights.h.

#include <algorithm>

#include "catch2/catch_test_macros.hpp"
#include "tests/model/files.h"
#include "tests/model/opened.h"

namespace fallow {
namespace {

TEST_CASE("digests are of what is stored", "[model][digest]") {
  const Opened model = Open(OpenGolden("llama"));
  const auto block = [&](int i) {
    return *BlockDigest(*model.checkpoint, model.family, model.spec, i);
  };
  CHECK(block(0) == block(0));
  CHECK(block(0) != block(1));
  CHECK(block(0) != *EndsDigest(*model.checkpoint, model.family, model.spec));
  CHECK(absl::IsNotFound(BlockDigest(*model.checkpoint, model.family, model.spec, 6).status()));

  TemporaryDirectory directory;
  directory.Copy(GoldenPath("llama/config.json"), "config.json");
  Bytes file = ReadBytes(GoldenPath("llama/model.safetensors"));
  const auto tensor = model.checkpoint->Find("model.layers.3.mlp.up_proj.weight");
  const auto first = model.checkpoint->Find("model.embed_tokens.weight");
  REQUIRE(tensor.ok());
  REQUIRE(first.ok());
  const auto place =
      std::search(file.begin(), file.end(), tensor->bytes.begin(), tensor->bytes.end());
  REQUIRE(place != file.end());
  *place ^= 1;
  directory.Write("model.safetensors", std::string(file.begin(), file.end()));
  const Opened changed = Open(*Checkpoint::Open(directory.path()));
  for (int i = 0; i < model.spec.num_blocks; ++i) {
    CAPTURE(i);
    const auto digest = BlockDigest(*changed.checkpoint, changed.family, changed.spec, i);
    CHECK((*digest == block(i)) == (i != 3));
  }
  CHECK(*ManifestDigest(*changed.checkpoint, changed.family, changed.spec) ==
        *ManifestDigest(*model.checkpoint, model.family, model.spec));
}

TEST_CASE("a manifest is the same for a holder of some shards, not for another spec",
          "[model][digest]") {
  const Opened whole = Open(OpenGolden("llama-sharded"));
  TemporaryDirectory directory;
  for (const char* const name : {"config.json", "model.safetensors.index.json"}) {
    directory.Copy(GoldenPath("llama-sharded/") + name, name);
  }
  Opened part = Open(*Checkpoint::Open(directory.path()));
  const auto manifest = [](const Opened& model) {
    return *ManifestDigest(*model.checkpoint, model.family, model.spec);
  };
  CHECK(manifest(part) == manifest(whole));
  part.spec.end_tokens = {1};  // no matter of arithmetic
  CHECK(manifest(part) == manifest(whole));
  part.spec.rope_theta = 10001;
  CHECK(manifest(part) != manifest(whole));
}

TEST_CASE("a digest in hexadecimal is read back, and nothing else is", "[model][digest]") {
  Digest digest{};
  for (std::size_t i = 0; i < digest.size(); ++i) digest[i] = static_cast<std::uint8_t>(i * 37);
  const std::string hex = Hex(digest);
  CHECK(hex.substr(0, 8) == "00254a6f");
  CHECK(DigestFromHex(hex) == digest);
  CHECK(!DigestFromHex(hex.substr(2)));
  CHECK(!DigestFromHex(hex + "00"));
  CHECK(!DigestFromHex("G" + hex.substr(1)));
  CHECK(!DigestFromHex("A" + hex.substr(1)));
}

TEST_CASE("digests do not change from build to build", "[model][digest]") {
  const Opened model = Open(OpenGolden("bloom"));
  CHECK(Hex(*BlockDigest(*model.checkpoint, model.family, model.spec, 0)) ==
        "a80e03d1fae536d468420c0cdada395ac7ee3f353b19628110a93a7d95f55abb");
  CHECK(Hex(*EndsDigest(*model.checkpoint, model.family, model.spec)) ==
        "25095b09c0082f747df78e449e3566188fd3523afe9e06b6634135dcbd5e4d25");
  CHECK(Hex(*ManifestDigest(*model.checkpoint, model.family, model.spec)) ==
        "75c1d223852c42bb77578a652672b2ad128faec0e41c185c6197f8bd599c3042");
}

}  // namespace
}  // namespace fallow
