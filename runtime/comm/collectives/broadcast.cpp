#include "runtime/comm/collectives/broadcast.h"

#include <bit>

namespace dml {

namespace {

/// How many ranks, itself first, hang below a place of the tree (were n a power of two).
int subtree(int place, int n) {
  const auto whole = static_cast<int>(std::bit_ceil(static_cast<unsigned>(n)));
  return place == 0 ? whole : place & -place;
}

}  // namespace

Broadcast::Broadcast(Transport& transport, const Group& group)
    : Operation(transport, group), parent_(add_receives()), children_(add_sends()) {}

void Broadcast::start(TensorView data, int root, std::int64_t sequence) {
  view = data;
  root_ = root;
  forwarded_ = false;
  parent_.clear(collective_label(sequence, 0));
  children_.clear(collective_label(sequence, 0));
  const int n = group_.size();
  const int place = (group_.rank - root + n) % n;
  if (place == 0) return;
  const int parent = place - subtree(place, n);
  parent_.receive((parent + root) % n, data.data, data.num_bytes());
}

bool Broadcast::advance() {
  if (!parent_.poll()) return false;
  if (!forwarded_) {
    const int n = group_.size();
    const int place = (group_.rank - root_ + n) % n;
    for (int half = subtree(place, n) / 2; half > 0; half /= 2) {
      if (place + half < n) children_.send((place + half + root_) % n, view.data, view.num_bytes());
    }
    forwarded_ = true;
  }
  return children_.poll();
}

}  // namespace dml
