// Checkpoint files made for a test.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/checkpoint.h"
#include "nlohmann/json.hpp"

namespace fallow {

using Bytes = std::vector<std::uint8_t>;

std::string GoldenPath(const std::string& name);  // of tests/golden/<name>

std::unique_ptr<Checkpoint> OpenGolden(const std::string& name);

// A directory that goes with its object.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  std::string path() const { return path_.string(); }
  std::string File(const std::string& name) const { return (path_ / name).string(); }
  void Write(const std::string& name, std::string_view text) const;
  void Copy(const std::string& from, const std::string& name) const;

 private:
  std::filesystem::path path_;
};

Bytes ReadBytes(const std::string& path);

// A safetensors file with this header and `data` zero bytes after it.
Bytes Safetensors(const std::string& header, std::size_t data);

// Writes a GGUF file number by number.
class GgufWriter {
 public:
  GgufWriter(std::uint64_t tensors, std::uint64_t keys, std::uint32_t version = 3);

  template <typename T>
  GgufWriter& Number(T value) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&value);
    bytes_.insert(bytes_.end(), bytes, bytes + sizeof(T));
    return *this;
  }
  GgufWriter& Text(std::string_view text);
  GgufWriter& Key(std::string_view key, std::uint32_t type);
  // dimensions as in the file: innermost first
  GgufWriter& Tensor(std::string_view name, const std::vector<std::uint64_t>& dimensions,
                     std::uint32_t type, std::uint64_t offset);
  GgufWriter& Align(std::size_t alignment);
  GgufWriter& Zeros(std::size_t count);

  const Bytes& bytes() const { return bytes_; }
  std::string text() const { return {bytes_.begin(), bytes_.end()}; }

 private:
  Bytes bytes_;
};

// A checkpoint in memory.
class FakeCheckpoint : public Checkpoint {
 public:
  FakeCheckpoint(bool is_gguf, nlohmann::json config)
      : is_gguf_(is_gguf), config_(std::move(config)) {}

  void Add(const std::string& name, std::vector<std::int64_t> shape,
           const std::vector<float>& values);
  void AddStored(const std::string& name, StoredType type, std::vector<std::int64_t> shape,
                 Bytes bytes);
  nlohmann::json& mutable_config() { return config_; }

  const nlohmann::json& config() const override { return config_; }
  absl::StatusOr<nlohmann::json> tokenizer() const override { return nlohmann::json::object(); }
  bool is_gguf() const override { return is_gguf_; }
  const std::string& path() const override { return path_; }
  std::vector<std::string> tensor_names() const override;
  std::vector<std::string> files() const override { return {}; }
  std::string Inventory() const override { return ""; }
  bool Has(std::string_view name) const override { return tensors_.contains(std::string(name)); }
  absl::StatusOr<StoredTensor> Find(std::string_view name) const override;

 private:
  struct Held {
    StoredType type;
    std::vector<std::int64_t> shape;
    Bytes bytes;
  };
  bool is_gguf_;
  nlohmann::json config_;
  std::string path_ = "fake";
  std::map<std::string, Held> tensors_;
};

}  // namespace fallow
