// A directory of packed weights, made once from checkpoints and mapped by every later start.
//
// A part of a model (part.h) is a file of its own (packed_file.h), named by its key: the hash of
// the part's digest and of all else that its bytes depend on. So what is stale is never found,
// models that differ in some blocks share the others, and a file is right whoever wrote it: of two
// writers at once either may win. A file that is cut, damaged in its header or of another format is
// as good as absent; the weights themselves are checked by `fallow cache verify` alone. Whoever may
// write to the directory is trusted: a header that lies cannot lead outside of its file, but other
// weights would be used, and to cut a file ends the processes that have mapped it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "fallow/model_spec.h"
#include "model/packed_file.h"
#include "model/part.h"
#include "model/slots.h"

namespace fallow {

// The directory that an option `cache` means; empty: no cache. "auto": $FALLOW_CACHE, else
// $XDG_CACHE_HOME/fallow, else ~/.cache/fallow; InvalidArgument if none of these is set.
absl::StatusOr<std::string> CacheDirectory(const std::string& option);

class WeightCache {
 public:
  // Makes the directory if need be, and removes what writers that died have left there.
  // PermissionDenied and the like name it.
  static absl::StatusOr<std::unique_ptr<WeightCache>> Open(const std::string& directory);

  const std::string& directory() const { return directory_; }

  struct Wanted {
    SlotReader::Source source;
    Digest manifest{};
    std::vector<Digest> blocks{};  // digests of consecutive blocks,
    int first_block = 0;           // from this one on
    bool embedding = false;
    bool head = false;
    Digest ends{};  // if either
  };
  // Each part's file, made from the checkpoint if there is none. Where that fails (a full disk), a
  // line of the log says so, once, and the part's file is null: its weights are to be read from the
  // checkpoint.
  PackedModel Get(const Wanted& wanted);

 private:
  explicit WeightCache(std::string directory) : directory_(std::move(directory)) {}
  std::shared_ptr<const PackedFile> GetPart(const Part& part, const Digest& digest,
                                            const Wanted& wanted);
  absl::StatusOr<std::shared_ptr<const PackedFile>> OpenOrMake(const Part& part,
                                                               const Digest& digest,
                                                               const Wanted& wanted);

  const std::string directory_;
  bool failed_ = false;  // to make a file: no other is tried
};

}  // namespace fallow
