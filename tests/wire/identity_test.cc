#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include "absl/strings/escaping.h"
#include "catch2/catch_test_macros.hpp"
#include "fallow/peer.h"

namespace fallow {
namespace {

namespace fs = std::filesystem;

// A folder of its own, removed at the end.
struct Folder {
  Folder()
      : path(fs::temp_directory_path() / ("fallow-" + std::to_string(std::random_device()()))) {
    fs::create_directory(path);
  }
  ~Folder() { fs::remove_all(path); }
  std::string operator/(const std::string& name) const { return (path / name).string(); }
  const fs::path path;
};

void WriteFile(const std::string& path, const std::string& contents,
               fs::perms mode = fs::perms::owner_read | fs::perms::owner_write) {
  std::ofstream(path) << contents;
  fs::permissions(path, mode);
}

std::string Hex(const std::array<std::uint8_t, 64>& bytes) {
  return absl::BytesToHexString({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

TEST_CASE("signatures are those of RFC 8032", "[wire][identity]") {
  struct Case {
    std::string seed, peer, message, signature;
  };
  // Section 7.1, tests 1 and 3.
  const Case cases[] = {
      {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
       "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
       "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf"
       "9"
       "b46bd25bf5f0595bbe24655141438e7a100b"},
      {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
       "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "\xaf\x82",
       "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984"
       "d"
       "c6594a7c15e9716ed28dc027beceea1ec40a"}};
  const Folder folder;
  for (const Case& c : cases) {
    WriteFile(folder / c.peer, "fallow identity key 1\n" + c.seed + "\n");
    const auto identity = Identity::LoadOrCreate(folder / c.peer);
    REQUIRE(identity.ok());
    CHECK(identity->peer().ToString() == c.peer);
    const auto signature = identity->Sign(c.message);
    CHECK(Hex(signature) == c.signature);
    CHECK(Verify(identity->peer(), c.message, signature));
    CHECK_FALSE(Verify(identity->peer(), c.message + "x", signature));
    CHECK_FALSE(Verify(Identity::Generate().peer(), c.message, signature));
    auto changed = signature;
    changed[5] ^= 1;
    CHECK_FALSE(Verify(identity->peer(), c.message, changed));
    CHECK_FALSE(Verify(PeerId{}, c.message, signature));
  }
}

TEST_CASE("an identity file is made once, for its owner only", "[wire][identity]") {
  const Folder folder;
  const std::string path = folder / "key";
  const auto made = Identity::LoadOrCreate(path);
  REQUIRE(made.ok());
  CHECK(fs::status(path).permissions() == (fs::perms::owner_read | fs::perms::owner_write));
  CHECK(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()) == 1);
  const auto loaded = Identity::LoadOrCreate(path);
  REQUIRE(loaded.ok());
  CHECK(loaded->peer() == made->peer());
  CHECK(Verify(loaded->peer(), "hello", made->Sign("hello")));
  CHECK(Identity::Generate().peer() != Identity::Generate().peer());
}

TEST_CASE("an identity file that others may read is refused", "[wire][identity]") {
  const Folder folder;
  const std::string path = folder / "key";
  REQUIRE(Identity::LoadOrCreate(path).ok());
  for (const fs::perms mode :
       {fs::perms::group_read, fs::perms::others_read, fs::perms::group_write}) {
    fs::permissions(path, fs::perms::owner_read | mode);
    CHECK(Identity::LoadOrCreate(path).status().code() == absl::StatusCode::kPermissionDenied);
  }
  CHECK(Identity::LoadOrCreate(folder / "missing/key").status().code() ==
        absl::StatusCode::kPermissionDenied);
}

TEST_CASE("a damaged identity file is named and left alone", "[wire][identity]") {
  const Folder folder;
  const std::string header = "fallow identity key 1\n";
  const std::string good = header + std::string(64, 'a') + "\n";
  const std::string damaged[] = {"",
                                 header,
                                 good.substr(1),
                                 header + std::string(63, 'a') + "\n",
                                 header + std::string(65, 'a') + "\n",
                                 header + std::string(63, 'a') + "g\n",
                                 header + std::string(62, 'a') + "\n",
                                 good + "x",
                                 "fallow identity key 2\n" + std::string(64, 'a'),
                                 std::string(100 << 10, 'a')};
  for (const std::string& contents : damaged) {
    CAPTURE(contents.substr(0, 200));
    WriteFile(folder / "key", contents);
    const absl::Status status = Identity::LoadOrCreate(folder / "key").status();
    CHECK(status.code() == absl::StatusCode::kDataLoss);
    CHECK(std::string(status.message()).find(folder / "key") != std::string::npos);
    CHECK(fs::file_size(folder / "key") == contents.size());
  }
  WriteFile(folder / "key", good);
  CHECK(Identity::LoadOrCreate(folder / "key").ok());
  CHECK(Identity::LoadOrCreate(folder.path.string()).status().code() ==
        absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace fallow
