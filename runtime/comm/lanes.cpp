#include "runtime/comm/lanes.h"

#include <algorithm>

#include "kernels/error.h"

namespace dml {

namespace {

bool is_done(const Request& request) { return request.done.load(std::memory_order_acquire); }

}  // namespace

Lanes::Lanes(Transport& transport, const Group& group) : transport_(transport), group_(group) {
  entries_.reserve(group.members.size());
}

void Lanes::clear(int label) {
  DML_ASSERT(in_flight_ == 0, "messages are in flight");
  entries_.clear();
  label_ = label;
}

void Lanes::add(int peer, Request* request) {
  entries_.push_back({peer, request});
  ++in_flight_;
}

void Lanes::send(int peer, const void* data, std::size_t bytes) {
  add(peer, transport_.send(data, bytes, group_, peer, label_));
}

void Lanes::receive(int peer, void* data, std::size_t bytes) {
  add(peer, transport_.receive(data, bytes, group_, peer, label_));
}

void Lanes::borrow(int peer, void* scratch, std::size_t bytes) {
  add(peer, transport_.borrow(scratch, bytes, group_, peer, label_));
}

void Lanes::skip(int peer) { entries_.push_back({peer, nullptr}); }

bool Lanes::waiting(std::size_t place) const {
  const Request* request = entries_[place].request;
  return request != nullptr && !is_done(*request);
}

bool Lanes::poll() {
  if (in_flight_ == 0) return true;
  for (Entry& entry : entries_) {
    if (entry.request == nullptr || !is_done(*entry.request)) continue;
    transport_.recycle(entry.request);
    entry.request = nullptr;
    --in_flight_;
  }
  return in_flight_ == 0;
}

bool Lanes::arrived() const {
  return std::ranges::all_of(entries_, [](const Entry& e) { return e.request == nullptr || is_done(*e.request); });
}

void Lanes::release() noexcept {
  for (Entry& entry : entries_) {
    if (entry.request != nullptr) transport_.recycle(entry.request);
    entry.request = nullptr;
  }
  in_flight_ = 0;
}

void Lanes::cancel() noexcept {
  for (Entry& entry : entries_) {
    if (entry.request != nullptr) transport_.cancel(entry.request);
    entry.request = nullptr;
  }
  in_flight_ = 0;
}

}  // namespace dml
