// Files that are written whole, and what tells that one has changed.

#include <stdlib.h>
#include <sys/resource.h>

#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "base/platform/file_identity.h"
#include "base/platform/pending_file.h"

namespace fallow {
namespace {

namespace fs = std::filesystem;

struct Folder {
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "fallow-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  ~Folder() { fs::remove_all(path); }

  std::string File(const char* name) const { return (path / name).string(); }
  std::ptrdiff_t files() const { return std::distance(fs::directory_iterator(path), {}); }

  fs::path path;
};

std::span<const std::uint8_t> BytesOf(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST_CASE("a pending file has its name only once it is published", "[base][files]") {
  const Folder folder;
  const std::string path = folder.File("a");
  {
    auto pending = PendingFile::Create(path);
    REQUIRE(pending.ok());
    REQUIRE((*pending)->Write(4, BytesOf("tail")).ok());
    REQUIRE((*pending)->Write(0, BytesOf("head")).ok());
    CHECK(!fs::exists(path));
    REQUIRE(folder.files() == 1);
    CHECK(IsTemporaryOf(path, fs::directory_iterator(folder.path)->path().string()));
    REQUIRE((*pending)->Publish().ok());
  }
  CHECK(Read(path) == "headtail");
  { REQUIRE((*PendingFile::Create(path))->Write(0, BytesOf("dropped")).ok()); }
  CHECK(folder.files() == 1);
  CHECK(Read(path) == "headtail");
  CHECK(!IsTemporaryOf(path, path));
  CHECK(!IsTemporaryOf(path, path + "/XXXXXX"));
  CHECK(!IsTemporaryOf(path, folder.File("b.XXXXXX")));
}

TEST_CASE("a file that cannot be made or written is refused by status", "[base][files]") {
  const Folder folder;
  CHECK(absl::IsNotFound(PendingFile::Create(folder.File("no/a")).status()));
  auto pending = *PendingFile::Create(folder.File("a"));
  rlimit before;
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const rlimit small{.rlim_cur = 6, .rlim_max = before.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  const absl::Status written = pending->Write(0, BytesOf("longer than that"));
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, handler);
  CHECK(!written.ok());
  pending.reset();
  CHECK(folder.files() == 0);
}

TEST_CASE("a file's identity changes with it", "[base][files]") {
  const Folder folder;
  const std::string path = folder.File("a");
  CHECK(absl::IsNotFound(IdentifyFile(path).status()));
  std::ofstream(path) << "one";
  const FileIdentity first = *IdentifyFile(path);
  CHECK(first.bytes == 3);
  CHECK(*IdentifyFile(path) == first);

  fs::create_symlink(path, folder.File("link"));
  CHECK(*IdentifyFile(folder.File("link")) == first);

  std::ofstream(folder.File("b")) << "two";
  fs::last_write_time(folder.File("b"), fs::last_write_time(path));
  fs::rename(folder.File("b"), path);
  const FileIdentity replaced = *IdentifyFile(path);
  CHECK(replaced.modified == first.modified);
  CHECK(replaced != first);

  fs::last_write_time(path, fs::last_write_time(path) + std::chrono::seconds(1));
  CHECK(*IdentifyFile(path) != replaced);
}

}  // namespace
}  // namespace fallow
