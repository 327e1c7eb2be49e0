#include "runtime/comm/collectives/barrier.h"

namespace dml {

Barrier::Barrier(Transport& transport, const Group& group)
    : Operation(transport, group), words_(add_receives()), sends_(add_sends()) {}

void Barrier::start(std::int64_t sequence) {
  words_.clear(collective_label(sequence, 0));
  sends_.clear(collective_label(sequence, 0));
  const int n = group_.size();
  for (int distance = 1; distance < n; distance *= 2) words_.receive(peer_after(n - distance), nullptr, 0);
  sends_.send(peer_after(1), nullptr, 0);
}

bool Barrier::advance() {
  words_.poll();
  while (sends_.size() < words_.size() && words_.done(sends_.size() - 1)) {
    sends_.send(peer_after(1 << sends_.size()), nullptr, 0);
  }
  const bool sent = sends_.poll();
  return sent && sends_.size() == words_.size() && words_.poll();
}

}  // namespace dml
