#include "runtime/comm/collectives/all_gather.h"

#include <cstring>
#include <numeric>

namespace dml {

AllGather::AllGather(Transport& transport, const Group& group)
    : Operation(transport, group), parts_(add_receives()), sends_(add_sends()) {}

void AllGather::start(TensorView out, TensorView in, std::span<const std::int64_t> counts, std::int64_t sequence) {
  view = out;
  parts_.clear(collective_label(sequence, 0));
  sends_.clear(collective_label(sequence, 0));
  const std::size_t width = size_of(out.dtype);
  const auto place = [&](int rank) {
    const std::int64_t begin = std::accumulate(counts.begin(), counts.begin() + rank, std::int64_t{0});
    return out.as<std::byte>() + static_cast<std::size_t>(begin) * width;
  };
  for (int distance = 1; distance < group_.size(); ++distance) {
    const int peer = peer_after(distance);
    const auto bytes = static_cast<std::size_t>(counts[static_cast<std::size_t>(peer)]) * width;
    if (bytes > 0) parts_.receive(peer, place(peer), bytes);
  }
  const std::size_t mine = in.num_bytes();
  if (mine == 0) return;
  std::byte* own_place = place(group_.rank);
  if (own_place != in.data) std::memcpy(own_place, in.data, mine);
  for (int distance = 1; distance < group_.size(); ++distance) sends_.send(peer_after(distance), own_place, mine);
}

bool AllGather::advance() {
  const bool received = parts_.poll();
  return sends_.poll() && received;
}

}  // namespace dml
