#include "runtime/comm/thread/thread_transport.h"

#include <fmt/format.h>

#include <cstring>
#include <thread>

#include "kernels/error.h"

namespace dml {

namespace {

using Role = ThreadRequest::Role;
using State = ThreadRequest::State;

void finish(ThreadRequest& request) {
  request.state.store(State::finished, std::memory_order_release);
  request.done.store(true, std::memory_order_release);
}

bool replace(ThreadRequest& request, State from, State to) {
  return request.state.compare_exchange_strong(from, to, std::memory_order_acq_rel);
}

}  // namespace

void RequestQueue::push(ThreadRequest* request) {
  request->next = nullptr;
  (last_ == nullptr ? first_ : last_->next) = request;
  last_ = request;
}

void RequestQueue::unlink(ThreadRequest* previous, ThreadRequest* request) {
  (previous == nullptr ? first_ : previous->next) = request->next;
  if (last_ == request) last_ = previous;
}

ThreadRequest* RequestQueue::take(int group, int label) {
  ThreadRequest* previous = nullptr;
  for (ThreadRequest* request = first_; request != nullptr; previous = request, request = request->next) {
    if (request->label != label || request->group != group) continue;
    unlink(previous, request);
    return request;
  }
  return nullptr;
}

bool RequestQueue::remove(ThreadRequest* request) {
  ThreadRequest* previous = nullptr;
  for (ThreadRequest* other = first_; other != nullptr; previous = other, other = other->next) {
    if (other != request) continue;
    unlink(previous, request);
    return true;
  }
  return false;
}

ThreadWorld::ThreadWorld(int size)
    : size_(size),
      mailboxes_(static_cast<std::size_t>(size) * static_cast<std::size_t>(size)),
      requests_(static_cast<std::size_t>(size)) {}

void ThreadWorld::fail(const std::string& reason) noexcept {
  const std::lock_guard lock(mutex_);
  if (failed()) return;
  try {
    reason_ = reason;
  } catch (const std::bad_alloc&) {
    reason_.clear();  // the failure counts, its text is lost
  }
  failed_.store(true, std::memory_order_release);
}

std::string ThreadWorld::reason() const {
  const std::lock_guard lock(mutex_);
  return reason_;
}

ThreadTransport::ThreadTransport(std::shared_ptr<ThreadWorld> world, int rank) : world_(std::move(world)), rank_(rank) {
  reserve(64);
}

void ThreadTransport::reserve(int requests) {
  auto& all = world_->requests(rank_);
  while (all.size() < static_cast<std::size_t>(requests)) {
    ThreadRequest& request = all.emplace_back();
    request.next = free_;
    free_ = &request;
  }
}

ThreadRequest* ThreadTransport::take_free() {
  if (free_ == nullptr) reserve(static_cast<int>(world_->requests(rank_).size()) + 64);
  ThreadRequest* const request = free_;
  free_ = request->next;
  request->done.store(false, std::memory_order_relaxed);
  request->state.store(State::posted, std::memory_order_relaxed);
  request->partner = nullptr;
  return request;
}

Request* ThreadTransport::send(const void* data, std::size_t bytes, const Group& group, int peer, int label) {
  return post(Role::send, const_cast<void*>(data), bytes, group, peer, label);  // only read
}

Request* ThreadTransport::receive(void* data, std::size_t bytes, const Group& group, int peer, int label) {
  return post(Role::receive, data, bytes, group, peer, label);
}

Request* ThreadTransport::borrow(void*, std::size_t bytes, const Group& group, int peer, int label) {
  return post(Role::borrow, nullptr, bytes, group, peer, label);
}

Request* ThreadTransport::post(Role role, void* data, std::size_t bytes, const Group& group, int peer, int label) {
  const int other_rank = group.members[static_cast<std::size_t>(peer)];
  const bool sends = role == Role::send;
  ThreadRequest* const mine = take_free();
  mine->role = role;
  mine->data = data;
  mine->bytes = bytes;
  mine->group = group.id;
  mine->label = label;
  mine->mailbox = sends ? &world_->mailbox(rank_, other_rank) : &world_->mailbox(other_rank, rank_);
  ThreadRequest* other = nullptr;
  {
    Mailbox& box = *mine->mailbox;
    const std::lock_guard lock(box.mutex);
    other = (sends ? box.receives : box.sends).take(group.id, label);
    if (other == nullptr) {
      (sends ? box.sends : box.receives).push(mine);
      return mine;
    }
    other->state.store(State::taken, std::memory_order_relaxed);
  }
  meet(sends ? *mine : *other, sends ? *other : *mine, other_rank);
  return mine;
}

void ThreadTransport::meet(ThreadRequest& send, ThreadRequest& receive, int peer) {
  if (send.bytes != receive.bytes) {
    const std::string reason = fmt::format("rank {} and rank {} disagree on a message: {} bytes sent, {} expected",
                                           rank_, peer, send.bytes, receive.bytes);
    world_->fail(reason);
    finish(send);
    finish(receive);
    throw CommError(reason);
  }
  if (receive.role == Role::borrow) {
    receive.partner = &send;
    send.state.store(State::lent, std::memory_order_release);
    finish(receive);
    return;
  }
  if (send.bytes > 0) std::memcpy(receive.data, send.data, send.bytes);
  finish(receive);
  finish(send);
}

const void* ThreadTransport::open(Request* request) {
  ThreadRequest& send = *static_cast<ThreadRequest*>(request)->partner;
  if (replace(send, State::lent, State::read)) return send.data;
  progress();  // throws, with the reason, where the peer withdraws because a rank has failed
  throw CommError("a peer has withdrawn its message");
}

void ThreadTransport::give_back(ThreadRequest& borrow) noexcept {
  ThreadRequest* const send = borrow.partner;
  if (send == nullptr) return;
  if (replace(*send, State::read, State::finished) || replace(*send, State::lent, State::finished)) {
    send->done.store(true, std::memory_order_release);
  }
}

void ThreadTransport::recycle(Request* request) noexcept {
  auto* const mine = static_cast<ThreadRequest*>(request);
  if (mine->role == Role::borrow) give_back(*mine);
  mine->next = free_;
  free_ = mine;
}

void ThreadTransport::cancel(Request* request) noexcept {
  auto& mine = *static_cast<ThreadRequest*>(request);
  if (!mine.done.load(std::memory_order_acquire)) withdraw(mine);
  if (mine.done.load(std::memory_order_acquire)) recycle(&mine);
}

/// Leaves the request done, or withdrawn: then a peer may still look at its state, so it is not used again.
void ThreadTransport::withdraw(ThreadRequest& request) noexcept {
  {
    const std::lock_guard lock(request.mailbox->mutex);
    RequestQueue& queue = request.role == Role::send ? request.mailbox->sends : request.mailbox->receives;
    if (queue.remove(&request)) finish(request);
  }
  while (!request.done.load(std::memory_order_acquire)) {
    if (replace(request, State::lent, State::withdrawn)) return;
    std::this_thread::yield();  // the peer copies or reads; it does not wait meanwhile
  }
}

bool ThreadTransport::progress() {
  if (world_->failed()) throw CommError(world_->reason());
  return false;  // peers mark what is done
}

void ThreadTransport::fail(const std::string& reason) noexcept {
  try {
    world_->fail(fmt::format("rank {} failed: {}", rank_, reason));
  } catch (const std::bad_alloc&) {
    world_->fail({});
  }
}

}  // namespace dml
