// The hooks by which halts, idle policy and credits say yes or no to work.
//
// A server asks its Gate, a client its Payer. Both exchange bytes through the protocol that only
// they make and read: vouchers (client to hop) and receipts (hop to client).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fallow/model_spec.h"
#include "fallow/peer.h"

namespace fallow {

using SessionId = std::array<std::uint8_t, 16>;

// What a client asks of a hop when it opens a session.
struct SessionRequest {
  SessionId session{};
  PeerId client;  // empty where the transport does not identify peers
  BlockRange blocks;
  int sequences = 0;
  std::int64_t kv_tokens = 0;  // reserved for each sequence
  std::string governance;      // the client's digest, 16 bytes or none
};

// Work done by one hop for one session, since it was opened there.
struct WorkDone {
  SessionId session{};
  PeerId client;
  std::uint64_t steps = 0;  // passes that had rows of this session
  std::uint64_t rows = 0;
  std::uint64_t block_rows = 0;                // rows times blocks: the unit of account
  std::array<std::uint8_t, 32> input_hash{};   // BLAKE2b-256 over all rows received so far
  std::array<std::uint8_t, 32> output_hash{};  // likewise sent
};

// Asked by a BlockServer. Methods are called from the server's threads, never two at a time for one
// session, and must not block. FailedPrecondition halts, ResourceExhausted sends elsewhere.
class Gate {
 public:
  virtual ~Gate() = default;

  // May this session be opened (or resumed)?
  virtual absl::Status Admit(const SessionRequest& request) = 0;

  // May its next step be computed? Called for each session and pass: a load of one atomic.
  virtual absl::Status MayContinue(const SessionId& session) = 0;

  // After every 32 steps of a session, and when it ends: bytes for the client's Payer, or none.
  virtual std::string MakeReceipt(const WorkDone& work) = 0;

  // A voucher from the client's Payer. An error ends the session with it.
  virtual absl::Status TakeVoucher(const SessionId& session, std::string_view voucher) = 0;

  virtual void Ended(const SessionId& session) = 0;

  // 16 bytes (or none) put into every control message, so that peers notice a halt they missed.
  virtual std::string GovernanceDigest() const { return ""; }
};

// Asked by a DistributedModel, from one of its threads; must not block.
class Payer {
 public:
  virtual ~Payer() = default;

  // Each 32 tokens and hop: bytes for the hop's Gate, or none. An error stops the generation.
  virtual absl::StatusOr<std::string> MakeVoucher(const SessionId& session, const PeerId& hop,
                                                  std::uint64_t tokens) = 0;

  // A receipt from a hop's Gate. An error stops the use of that hop.
  virtual absl::Status TakeReceipt(const SessionId& session, const PeerId& hop,
                                   std::string_view receipt) = 0;

  virtual std::string GovernanceDigest() const { return ""; }
};

}  // namespace fallow
