#include "tests/model/golden_files.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "model/safetensors.h"

namespace fallow {
namespace {

const std::filesystem::path kFolder = std::filesystem::path(FALLOW_SOURCE_DIR) / "tests/golden";

template <typename T>
std::vector<T> ValuesOf(const StoredTensor& tensor, StoredType type) {
  if (tensor.type != type) throw std::runtime_error("type of " + tensor.name);
  std::vector<T> values(tensor.elements());
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

Golden Read(const std::filesystem::path& folder) {
  const std::string expected = (folder / "expected.safetensors").string();
  const bool gguf = std::filesystem::exists(folder / "model.gguf");
  return {.name = folder.filename().string(),
          .path = (gguf ? folder / "model.gguf" : folder).string(),
          .gguf = gguf,
          .prompt = TokensIn(expected, "input_ids"),
          .logits = FloatsIn(expected,
                             HasTensor(expected, "stepwise_logits") ? "stepwise_logits" : "logits"),
          .greedy = TokensIn(expected, "greedy")};
}

}  // namespace

std::vector<float> FloatsIn(const std::string& file, const std::string& tensor) {
  const auto opened = SafetensorsFile::Open(file).value();
  return ValuesOf<float>(opened->Find(tensor).value(), StoredType::kF32);
}

std::vector<TokenId> TokensIn(const std::string& file, const std::string& tensor) {
  const auto opened = SafetensorsFile::Open(file).value();
  const StoredTensor stored = opened->Find(tensor).value();
  if (stored.type == StoredType::kI32) return ValuesOf<TokenId>(stored, StoredType::kI32);
  const auto wide = ValuesOf<std::int64_t>(stored, StoredType::kI64);
  return {wide.begin(), wide.end()};
}

bool HasTensor(const std::string& file, const std::string& tensor) {
  return SafetensorsFile::Open(file).value()->entries().contains(tensor);
}

std::vector<Golden> AllGolden() {
  std::vector<std::filesystem::path> folders;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (std::filesystem::exists(entry.path() / "expected.safetensors")) {
      folders.push_back(entry.path());
    }
  }
  std::sort(folders.begin(), folders.end());
  std::vector<Golden> all;
  for (const auto& folder : folders) all.push_back(Read(folder));
  return all;
}

Golden GoldenNamed(const std::string& name) { return Read(kFolder / name); }

}  // namespace fallow
