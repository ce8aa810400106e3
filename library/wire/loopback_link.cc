#include "wire/loopback_link.h"

#include <algorithm>

namespace fallow {

bool LoopbackState::IsCut(const PeerId& a, const PeerId& b) const {
  return cuts.count(std::minmax(a, b)) > 0;
}

bool LoopbackState::Drops(const PeerId& from, const PeerId& to) const {
  return drops.count({from, to}) > 0;
}

absl::Duration LoopbackState::Delay(const PeerId& from, const PeerId& to, std::size_t bytes) const {
  return options.delay ? options.delay(from, to, bytes) : absl::ZeroDuration();
}

std::vector<std::shared_ptr<LoopbackLink>> LoopbackState::Links() {
  std::erase_if(links, [](const auto& link) { return link.expired(); });
  std::vector<std::shared_ptr<LoopbackLink>> alive;
  for (const std::weak_ptr<LoopbackLink>& link : links) {
    if (std::shared_ptr<LoopbackLink> locked = link.lock()) {
      alive.push_back(std::move(locked));
    }
  }
  return alive;
}

LoopbackLink::LoopbackLink(std::shared_ptr<LoopbackState> state,
                           std::shared_ptr<LoopbackPeer> client, Loop& loop)
    : state_(std::move(state)) {
  ends_[kClient].peer = std::move(client);
  ends_[kClient].loop = &loop;
}

void LoopbackLink::Attach(std::shared_ptr<LoopbackPort> port, Loop& loop) {
  ends_[kServer].peer = port->peer;
  ends_[kServer].loop = &loop;
  port_ = std::move(port);
}

bool LoopbackLink::Connects(const PeerId& a, const PeerId& b) const {
  const auto& [client, server] = ends_;
  return server.peer != nullptr &&
         std::minmax(client.peer->id, server.peer->id) == std::minmax(a, b);
}

void LoopbackLink::Start(Side side, Receiver& receiver) {
  absl::MutexLock lock(&state_->mutex);
  ends_[side].receiver = &receiver;
  ScheduleNow(side);
}

std::size_t LoopbackLink::QueuedBytes(Side side) const {
  absl::MutexLock lock(&state_->mutex);
  return ends_[side].queued_bytes;
}

void LoopbackLink::SetReading(Side side, bool on) {
  absl::MutexLock lock(&state_->mutex);
  ends_[side].reading = on;
  ScheduleNow(side);
}

void LoopbackLink::Send(Side side, AnyMessage message) {
  std::vector<AnyMessage> messages;
  messages.push_back(std::move(message));
  ApplyHook(side, messages);
  for (AnyMessage& sent : messages) {
    if (state_->options.serialize) {
      AnyMessage received(sent->New());
      received->ParseFromString(sent->SerializeAsString());
      sent = std::move(received);
    }
    const std::size_t bytes = sent->ByteSizeLong();
    absl::MutexLock lock(&state_->mutex);
    if (!ends_[side].finished) {
      Enqueue(side, {.message = std::move(sent), .bytes = bytes});
    }
  }
}

void LoopbackLink::Finish(Side side, absl::Status status) {
  absl::MutexLock lock(&state_->mutex);
  End& end = ends_[side];
  if (end.finished) {
    return;
  }
  Enqueue(side, {.status = side == kServer ? std::move(status) : absl::OkStatus()});
  end.finished = true;
  end.closed = end.closed || side == kServer;
}

void LoopbackLink::Release(Side side) {
  absl::MutexLock lock(&state_->mutex);
  End& end = ends_[side];
  const Side other = Other(side);
  end.receiver = nullptr;
  end.loop = nullptr;
  end.inbox.clear();
  ends_[other].queued_bytes = 0;
  if (!end.finished && Reaches(side)) {
    BreakAfter(other, state_->Delay(end.peer->id, ends_[other].peer->id, 0),
               absl::UnavailableError("the peer broke the stream"));
  }
  end.finished = true;
}

// Whether what `from` sends now arrives.
bool LoopbackLink::Reaches(Side from) const {
  const End& end = ends_[from];
  const End& other = ends_[Other(from)];
  return !end.peer->dead && !end.broken.has_value() && other.peer != nullptr &&
         !state_->Drops(end.peer->id, other.peer->id);
}

void LoopbackLink::ApplyHook(Side from, std::vector<AnyMessage>& messages) {
  LoopbackState::Hook hook;
  {
    absl::MutexLock lock(&state_->mutex);
    if (ends_[Other(from)].peer == nullptr) {
      return;
    }
    const auto found = state_->hooks.find(
        {ends_[from].peer->id, ends_[Other(from)].peer->id, messages.front()->GetTypeName()});
    if (found != state_->hooks.end()) {
      hook = found->second;
    }
  }
  if (hook) {
    hook(messages);
  }
}

void LoopbackLink::Enqueue(Side from, Item item) {
  End& sender = ends_[from];
  End& receiver = ends_[Other(from)];
  if (!Reaches(from) || receiver.loop == nullptr || receiver.closed) {
    ScheduleDrained(from);
    return;
  }
  item.due = receiver.loop->Now() + state_->Delay(sender.peer->id, receiver.peer->id, item.bytes);
  if (!receiver.inbox.empty()) {
    item.due = std::max(item.due, receiver.inbox.back().due);
  }
  sender.queued_bytes += item.bytes;
  const absl::Duration delay = item.due - receiver.loop->Now();
  receiver.inbox.push_back(std::move(item));
  Schedule(Other(from), delay);
}

void LoopbackLink::Break(Side side, absl::Status status) {
  End& end = ends_[side];
  if (end.broken.has_value() || end.closed) {
    return;
  }
  end.broken = std::move(status);
  end.inbox.clear();
  end.queued_bytes = 0;
  ends_[Other(side)].queued_bytes = 0;
  ScheduleNow(side);
}

void LoopbackLink::BreakAfter(Side side, absl::Duration delay, absl::Status status) {
  if (ends_[side].loop != nullptr) {
    ends_[side].loop->After(delay, [self = shared_from_this(), side, status = std::move(status)] {
      absl::MutexLock lock(&self->state_->mutex);
      self->Break(side, status);
    });
  }
}

void LoopbackLink::Schedule(Side side, absl::Duration delay) {
  End& end = ends_[side];
  if (end.loop != nullptr && !end.scheduled) {
    end.scheduled = true;
    end.loop->After(delay, [self = shared_from_this(), side] { self->Deliver(side); });
  }
}

// Although something may be scheduled: it may be far off.
void LoopbackLink::ScheduleNow(Side side) {
  ends_[side].scheduled = false;
  Schedule(side, absl::ZeroDuration());
}

void LoopbackLink::ScheduleDrained(Side side) {
  End& end = ends_[side];
  if (end.loop != nullptr && end.queued_bytes == 0) {
    end.loop->Post([self = shared_from_this(), side] { self->Drained(side); });
  }
}

// The item that the end's handler gets now, if any.
std::optional<LoopbackLink::Item> LoopbackLink::TakeItem(Side side) {
  End& end = ends_[side];
  End& sender = ends_[Other(side)];
  if (end.receiver == nullptr || end.closed || end.peer->dead) {
    return std::nullopt;
  }
  if (end.broken.has_value()) {
    end.closed = true;
    return Item{.status = *end.broken};
  }
  if (!end.reading || end.inbox.empty()) {
    return std::nullopt;
  }
  if (const absl::Duration left = end.inbox.front().due - end.loop->Now();
      left > absl::ZeroDuration()) {
    Schedule(side, left);
    return std::nullopt;
  }
  std::optional<Item> item = std::move(end.inbox.front());
  end.inbox.pop_front();
  end.closed = item->message == nullptr;
  if (!end.closed) {
    sender.queued_bytes -= item->bytes;
    ScheduleDrained(Other(side));
  }
  if (!end.inbox.empty()) {
    Schedule(side, absl::ZeroDuration());
  }
  return item;
}

void LoopbackLink::Deliver(Side side) {
  std::optional<Item> item;
  Receiver* receiver;
  {
    absl::MutexLock lock(&state_->mutex);
    ends_[side].scheduled = false;
    item = TakeItem(side);
    receiver = ends_[side].receiver;  // on its own loop it cannot go meanwhile
  }
  if (!item.has_value()) {
    return;
  }
  if (item->message != nullptr) {
    receiver->OnMessage(std::move(item->message));
  } else {
    receiver->OnClosed(std::move(item->status));
  }
}

void LoopbackLink::Drained(Side side) {
  Receiver* receiver;
  {
    absl::MutexLock lock(&state_->mutex);
    const End& end = ends_[side];
    if (end.receiver == nullptr || end.closed || end.peer->dead || end.queued_bytes > 0) {
      return;
    }
    receiver = end.receiver;
  }
  receiver->OnDrained();
}

}  // namespace fallow
