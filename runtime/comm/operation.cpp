#include "runtime/comm/operation.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "runtime/comm/hosts.h"

namespace dml {

namespace {

/// Peers that owe a message, or have not taken one.
std::vector<int> peers_awaited(const std::deque<Lanes>& phases) {
  std::vector<int> peers;
  for (const Lanes& lanes : phases) {
    for (std::size_t place = 0; place < lanes.size(); ++place) {
      if (lanes.waiting(place)) peers.push_back(lanes.peer(place));
    }
  }
  std::ranges::sort(peers);
  peers.erase(std::unique(peers.begin(), peers.end()), peers.end());
  return peers;
}

}  // namespace

void Operation::cancel() noexcept {
  for (Lanes& lanes : receives_) lanes.cancel();
  for (Lanes& lanes : sends_) lanes.cancel();
}

std::string Operation::describe_wait(std::chrono::milliseconds waited) const {
  std::vector<int> peers = peers_awaited(receives_);
  const bool receiving = !peers.empty();
  if (!receiving) peers = peers_awaited(sends_);
  for (int& peer : peers) peer = group_.members[static_cast<std::size_t>(peer)];
  const std::string what = view ? fmt::format("{} {}", view.shape.to_string(), name_of(view.dtype)) : "word";
  const std::string whom = peers.empty() ? "the others" : name_ranks(peers);
  return fmt::format("[{}] rank {} waited {:g} s for {} {} {} (group of {})", kind,
                     group_.members[static_cast<std::size_t>(group_.rank)],
                     static_cast<double>(waited.count()) / 1000.0, what,
                     receiving || peers.empty() ? "from" : "to reach", whom, name_ranks(group_.members));
}

}  // namespace dml
