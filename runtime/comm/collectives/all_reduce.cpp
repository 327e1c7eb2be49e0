#include "runtime/comm/collectives/all_reduce.h"

#include <algorithm>

#include "runtime/comm/collectives/sum.h"

namespace dml {

ExchangeAllReduce::ExchangeAllReduce(Transport& transport, const Group& group)
    : Operation(transport, group), pieces_(add_receives()), sends_(add_sends()), sources_(group.members.size()) {}

void ExchangeAllReduce::reserve(std::int64_t bytes) {
  scratch_.need(static_cast<std::size_t>(bytes) * static_cast<std::size_t>(group_.size() - 1));
}

void ExchangeAllReduce::start(TensorView data, std::int64_t sequence) {
  view = data;
  pieces_.clear(collective_label(sequence, 0));
  sends_.clear(collective_label(sequence, 0));
  const std::size_t bytes = data.num_bytes();
  const int n = group_.size();
  std::byte* place = scratch_.need(bytes * static_cast<std::size_t>(n - 1));
  sources_[static_cast<std::size_t>(group_.rank)] = data.data;
  for (int distance = 1; distance < n; ++distance, place += bytes) {
    const int peer = peer_after(distance);
    pieces_.receive(peer, place, bytes);
    sources_[static_cast<std::size_t>(peer)] = place;
  }
  for (int distance = 1; distance < n; ++distance) sends_.send(peer_after(distance), data.data, bytes);
}

bool ExchangeAllReduce::advance() {
  const bool received = pieces_.poll();
  const bool sent = sends_.poll();
  if (!received || !sent) return false;
  sum_in_order(view.data, sources_, view.num_elements(), view.dtype);
  return true;
}

BlockAllReduce::BlockAllReduce(Transport& transport, const Group& group)
    : Operation(transport, group),
      pieces_(add_receives()),
      sums_(add_receives()),
      piece_sends_(add_sends()),
      sum_sends_(add_sends()),
      reduction_(transport, group, pieces_, piece_sends_),
      begins_(group.members.size() + 1) {}

void BlockAllReduce::reserve(std::int64_t bytes) {
  reduction_.reserve(bytes);
  capacity_ = std::max(capacity_, bytes);
}

BlockAllReduce::Bytes BlockAllReduce::block(int rank) const {
  const auto r = static_cast<std::size_t>(rank);
  const std::size_t width = size_of(view.dtype);
  return {view.as<std::byte>() + static_cast<std::size_t>(begins_[r]) * width,
          static_cast<std::size_t>(begins_[r + 1] - begins_[r]) * width};
}

void BlockAllReduce::start(TensorView data, std::int64_t sequence) {
  view = data;
  capacity_ = std::max(capacity_, static_cast<std::int64_t>(data.num_bytes()));
  const int n = group_.size();
  for (int r = 0; r <= n; ++r) begins_[static_cast<std::size_t>(r)] = part_begin(data.num_elements(), n, r);
  sums_.clear(collective_label(sequence, 1));
  sum_sends_.clear(collective_label(sequence, 1));
  sent_ = false;
  reduction_.start(block(group_.rank).data, data.data, data.dtype, begins_, collective_label(sequence, 0));
}

void BlockAllReduce::send_sum() {
  const Bytes mine = block(group_.rank);
  for (int distance = 1; distance < group_.size() && mine.size > 0; ++distance) {
    sum_sends_.send(peer_after(distance), mine.data, mine.size);
  }
  sent_ = true;
}

/// A peer's sum replaces the piece that it has been sent, so it is received when that has been taken.
void BlockAllReduce::receive_sums() {
  for (std::size_t place = sums_.size(); place < piece_sends_.size() && piece_sends_.done(place); ++place) {
    const int peer = piece_sends_.peer(place);
    const Bytes theirs = block(peer);
    if (theirs.size > 0) {
      sums_.receive(peer, theirs.data, theirs.size);
    } else {
      sums_.skip(peer);
    }
  }
}

bool BlockAllReduce::advance() {
  if (!sent_ && reduction_.reduced()) send_sum();
  piece_sends_.poll();
  receive_sums();
  const bool received = sums_.poll() && sums_.size() == piece_sends_.size();
  const bool sent = sum_sends_.poll() && sent_;
  return received && sent;
}

}  // namespace dml
