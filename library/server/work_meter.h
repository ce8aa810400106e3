// What a hop has done for a session, for its Gate's receipts.
#pragma once

#include <cstdint>
#include <string_view>

#include "fallow/gate.h"
#include "sodium.h"

namespace fallow {

// Hashes are taken over rows as they lie on the wire, in the order in which they were computed.
class WorkMeter {
 public:
  WorkMeter(const SessionId& session, const PeerId& client, int blocks);

  void AddInput(std::string_view rows) { Add(input_, rows); }
  void AddOutput(std::string_view rows) { Add(output_, rows); }

  // A pass had `rows` of this session. True after every 32: a receipt is due.
  bool AddStep(std::int64_t rows);

  WorkDone done() const;

 private:
  static void Add(crypto_generichash_state& hash, std::string_view bytes);

  WorkDone done_;
  std::uint64_t blocks_;
  crypto_generichash_state input_;
  crypto_generichash_state output_;
};

}  // namespace fallow
