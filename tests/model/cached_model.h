// A model whose weights come from a checkpoint or from a cache, for tests of the latter.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/worker_pool.h"
#include "kernels/backend.h"
#include "model/weight_cache.h"
#include "model/weights.h"

namespace fallow {

// Another checkpoint's names, types and shapes; to read a tensor's bytes ends the process.
class SealedCheckpoint : public Checkpoint {
 public:
  explicit SealedCheckpoint(std::unique_ptr<Checkpoint> whole);
  ~SealedCheckpoint() override;

  const nlohmann::json& config() const override { return whole_->config(); }
  absl::StatusOr<nlohmann::json> tokenizer() const override { return whole_->tokenizer(); }
  bool is_gguf() const override { return whole_->is_gguf(); }
  const std::string& path() const override { return whole_->path(); }
  std::vector<std::string> tensor_names() const override { return whole_->tensor_names(); }
  std::vector<std::string> files() const override { return whole_->files(); }
  std::string Inventory() const override { return whole_->Inventory(); }
  bool Has(std::string_view name) const override { return whole_->Has(name); }
  absl::StatusOr<StoredTensor> Find(std::string_view name) const override;

 private:
  const std::unique_ptr<Checkpoint> whole_;
  std::uint8_t* const sealed_;
};

class CachedModel {
 public:
  // Digests are read from the checkpoint.
  CachedModel(std::unique_ptr<Checkpoint> checkpoint, const std::string& numeric_class,
              const std::string& weights);
  // Class and digests are another's.
  CachedModel(std::unique_ptr<Checkpoint> checkpoint, const CachedModel& other);

  const ModelSpec& spec() const { return spec_; }
  const Digest& manifest() const { return manifest_; }

  // All parts from the cache in `directory`, which makes what is not there.
  PackedModel Cached(const std::string& directory);

  // Of a few tokens, with weights from `packed` where it has them.
  std::vector<float> Logits(const PackedModel& packed);

 private:
  SlotReader::Source source() { return {*checkpoint_, family_, spec_, numeric_class_, *backend_}; }

  std::unique_ptr<Checkpoint> checkpoint_;
  Family family_;
  ModelSpec spec_;
  NumericClass numeric_class_;
  Digest manifest_{};
  std::vector<Digest> blocks_;
  Digest ends_{};
  WorkerPool pool_{2};
  std::unique_ptr<Backend> backend_;
};

// What the library logs while it lives.
class LogLines {
 public:
  LogLines();
  ~LogLines();
  LogLines(const LogLines&) = delete;
  LogLines& operator=(const LogLines&) = delete;

  std::vector<std::string> lines() const;

 private:
  struct State;
  const std::shared_ptr<State> state_;
};

// Clears variables of the environment, and restores them at its end.
class Environment {
 public:
  explicit Environment(std::vector<std::string> names);
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  void Set(const char* name, const char* value) const;

 private:
  std::vector<std::pair<std::string, std::optional<std::string>>> before_;
};

}  // namespace fallow
