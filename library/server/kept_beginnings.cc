#include "server/kept_beginnings.h"

#include <algorithm>

namespace fallow {

KeptBeginnings::~KeptBeginnings() {
  while (DropOldest()) continue;
}

void KeptBeginnings::Keep(const SharingCircle& circle, const Beginnings& held,
                          KvCache::SequenceId kv) {
  const std::int64_t positions = held.positions();
  if (positions == 0 || Find(circle, held).positions == positions) return;
  std::erase_if(kept_, [&](const Kept& kept) {
    const bool contained =
        kept.circle == circle && kept.beginnings.InCommon(held) == kept.beginnings.positions();
    if (contained) cache_.Close(kept.kv);
    return contained;
  });
  if (kept_.size() == kMost) DropOldest();
  auto copy = cache_.Fork(kv, positions, positions);
  while (!copy.ok() && DropOldest()) copy = cache_.Fork(kv, positions, positions);
  if (copy.ok()) kept_.push_back({circle, held, *copy});
}

SharedBeginning KeptBeginnings::Find(const SharingCircle& circle, const Beginnings& wanted) const {
  SharedBeginning best;
  for (const Kept& kept : kept_) {
    const std::int64_t positions = kept.circle == circle ? kept.beginnings.InCommon(wanted) : 0;
    if (positions > best.positions) best = {kept.kv, positions};
  }
  return best;
}

bool KeptBeginnings::DropOldest() {
  if (kept_.empty()) return false;
  cache_.Close(kept_.front().kv);
  kept_.pop_front();
  return true;
}

std::int64_t KeptBeginnings::reserved_tokens() const {
  std::int64_t tokens = 0;
  for (const Kept& kept : kept_) tokens += kept.beginnings.positions();
  return tokens;
}

}  // namespace fallow
