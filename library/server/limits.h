// What a hop allows those who come, so that its memory stays bounded.
#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace fallow {

struct HopLimits {
  int max_sessions = 64;
  int max_sequences = 256;                       // of a session
  std::int64_t max_outbox = 64 << 20;            // bytes kept per session for replays
  std::int64_t max_waiting = 4 << 20;            // bytes of a session's rows that wait for a pass
  std::int64_t max_unsent = 1 << 20;             // bytes in a stream before a session's rows wait
  std::int64_t max_unread = 8 << 20;             // bytes of control messages not yet looked at
  int max_strangers = 256;                       // streams that have not shown a session yet
  absl::Duration grace = absl::Seconds(30);      // a session without its client is kept
  absl::Duration handshake = absl::Seconds(10);  // to show a session
  absl::Duration idle = absl::Minutes(10);       // a session without a step is closed
};

inline constexpr int kRunAhead = 32;            // tokens past the last Ack, in a ring
inline constexpr int kReceiptSteps = 32;        // steps between two receipts
inline constexpr int kPrefillRows = 128;        // rows of prompts in one pass
inline constexpr int kLeastPrefillRows = 16;    // likewise, if others decode
inline constexpr int kMaxPassRows = 256;        // rows in one pass
inline constexpr int kMaxStepBytes = 64 << 10;  // of a step with more than one row
inline constexpr int kMaxStepIds = 16 << 10;
inline constexpr absl::Duration kDecodersWait = absl::Milliseconds(50);  // for prompts of others

}  // namespace fallow
