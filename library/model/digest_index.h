// Digests of checkpoints' parts, remembered so that files that have not changed need not be read.
#pragma once

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "model/checkpoint.h"
#include "model/weights.h"
#include "nlohmann/json.hpp"

namespace fallow {

// One checkpoint's digests, in a file of the cache's directory. They hold for files of the same
// path, size, times of change, inode and device (file_identity.h), and the same manifest. What that
// trusts: the system's clock and file system, and whoever may write to the directory. Files that
// were changed within two seconds before they were looked at are not remembered: another change
// could bear the same time.
class DigestIndex {
 public:
  DigestIndex() = default;  // remembers nothing

  // Looks at the checkpoint's files, `now`; reads none of their tensors.
  static DigestIndex Open(const std::string& directory, const Checkpoint& checkpoint,
                          const Digest& manifest, absl::Time now);

  // The digest of a part ("block 3", "ends") if it is remembered, else as computed.
  absl::StatusOr<Digest> Get(const std::string& part,
                             absl::FunctionRef<absl::StatusOr<Digest>()> compute);

  // Writes what was added. Does without where that fails: the next start reads the checkpoint.
  void Save() const;

 private:
  std::string path_;      // empty: remember nothing
  nlohmann::json entry_;  // manifest, files and digests; as in the file
  bool changed_ = false;
};

}  // namespace fallow
