// The messages of one phase of an operation, one per peer, in the order in which they were posted.
#pragma once

#include <vector>

#include "runtime/comm/transport.h"

namespace dml {

class Lanes {
 public:
  Lanes(Transport& transport, const Group& group);
  Lanes(const Lanes&) = delete;
  Lanes& operator=(const Lanes&) = delete;

  /// Forgets the peers of the last use. Nothing may be in flight.
  void clear(int label);
  void send(int peer, const void* data, std::size_t bytes);
  void receive(int peer, void* data, std::size_t bytes);
  void borrow(int peer, void* scratch, std::size_t bytes);
  /// A place without a message, for a peer that has nothing to say.
  void skip(int peer);

  /// Takes back what is done; true when nothing is in flight.
  bool poll();
  /// True when all is done; takes nothing back.
  bool arrived() const;
  /// True if nothing is in flight at this place.
  bool done(std::size_t place) const { return entries_[place].request == nullptr; }
  /// True if its message has not come or not been taken.
  bool waiting(std::size_t place) const;
  const void* open(std::size_t place) { return transport_.open(entries_[place].request); }
  /// Takes back all; all must be done.
  void release() noexcept;
  void cancel() noexcept;

  std::size_t size() const { return entries_.size(); }
  int peer(std::size_t place) const { return entries_[place].peer; }

 private:
  struct Entry {
    int peer;
    Request* request;
  };
  void add(int peer, Request* request);

  Transport& transport_;
  const Group& group_;
  int label_ = 0;
  int in_flight_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace dml
