#include "tests/model/files.h"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/status/status.h"
#include "catch2/catch_test_macros.hpp"

namespace fallow {

std::string GoldenPath(const std::string& name) {
  return std::string(FALLOW_SOURCE_DIR) + "/tests/golden/" + name;
}

std::unique_ptr<Checkpoint> OpenGolden(const std::string& name) {
  const std::string path = GoldenPath(name);
  auto opened = Checkpoint::Open(name.starts_with("gguf-") ? path + "/model.gguf" : path);
  INFO(std::string(opened.status().message()));
  REQUIRE(opened.ok());
  return *std::move(opened);
}

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "fallow-XXXXXX").string();
  REQUIRE(mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void TemporaryDirectory::Write(const std::string& name, std::string_view text) const {
  std::ofstream file(path_ / name, std::ios::binary);
  file << text;
  REQUIRE(file.good());
}

void TemporaryDirectory::Copy(const std::string& from, const std::string& name) const {
  std::filesystem::copy_file(from, path_ / name);
}

Bytes ReadBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file.good());
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

Bytes Safetensors(const std::string& header, std::size_t data) {
  const std::uint64_t length = header.size();
  Bytes bytes(sizeof(length) + header.size() + data);
  std::memcpy(bytes.data(), &length, sizeof(length));
  std::memcpy(bytes.data() + sizeof(length), header.data(), header.size());
  return bytes;
}

GgufWriter::GgufWriter(std::uint64_t tensors, std::uint64_t keys, std::uint32_t version) {
  for (const char letter : {'G', 'G', 'U', 'F'}) Number(letter);
  Number(version).Number(tensors).Number(keys);
}

GgufWriter& GgufWriter::Text(std::string_view text) {
  Number<std::uint64_t>(text.size());
  bytes_.insert(bytes_.end(), text.begin(), text.end());
  return *this;
}

GgufWriter& GgufWriter::Key(std::string_view key, std::uint32_t type) {
  return Text(key).Number(type);
}

GgufWriter& GgufWriter::Tensor(std::string_view name, const std::vector<std::uint64_t>& dimensions,
                               std::uint32_t type, std::uint64_t offset) {
  Text(name).Number<std::uint32_t>(dimensions.size());
  for (const std::uint64_t size : dimensions) Number(size);
  return Number(type).Number(offset);
}

GgufWriter& GgufWriter::Align(std::size_t alignment) {
  return Zeros((alignment - bytes_.size() % alignment) % alignment);
}

GgufWriter& GgufWriter::Zeros(std::size_t count) {
  bytes_.resize(bytes_.size() + count);
  return *this;
}

void FakeCheckpoint::Add(const std::string& name, std::vector<std::int64_t> shape,
                         const std::vector<float>& values) {
  Bytes bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  AddStored(name, StoredType::kF32, std::move(shape), std::move(bytes));
}

void FakeCheckpoint::AddStored(const std::string& name, StoredType type,
                               std::vector<std::int64_t> shape, Bytes bytes) {
  tensors_[name] = Held{type, std::move(shape), std::move(bytes)};
}

std::vector<std::string> FakeCheckpoint::tensor_names() const {
  std::vector<std::string> names;
  for (const auto& tensor : tensors_) names.push_back(tensor.first);
  return names;
}

absl::StatusOr<StoredTensor> FakeCheckpoint::Find(std::string_view name) const {
  const auto found = tensors_.find(std::string(name));
  if (found == tensors_.end()) return absl::NotFoundError("fake: no tensor " + std::string(name));
  return StoredTensor{found->first, found->second.type, found->second.shape, found->second.bytes};
}

}  // namespace fallow
