#include "parallel/pipeline/action_lists.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <stdexcept>
#include <tuple>

namespace dml {
namespace {

using Kind = ListedAction::Kind;

/// A forward or backward pass by name: of which stage, over which microbatch.
using PassKey = std::tuple<Phase, int, int>;

PassKey key_of(const Action& a) { return {a.phase, a.stage, a.microbatch}; }

bool has_result(const Action& a) { return a.phase != Phase::weight_grad; }

/// The stage at another position that `a` takes its input from; -1: none.
int remote_source(const Action& a, const Placement& placement, const StageLinks& links) {
  const int source = links.source(a.phase, a.stage);
  return source >= 0 && placement.position(source) != placement.position(a.stage) ? source : -1;
}

/// The stage at another position that needs what `a` makes; -1: none.
int remote_target(const Action& a, const Placement& placement, const StageLinks& links) {
  const int target = links.target(a.phase, a.stage);
  return target >= 0 && placement.position(target) != placement.position(a.stage) ? target : -1;
}

/// Takes one step of every position in turn, as long as there are any.
class Lowering {
 public:
  Lowering(std::span<const Order> orders, const Placement& placement, const StageLinks& links)
      : orders_(orders), placement_(placement), links_(links), next_(orders.size(), 0), lists_(orders.size()) {}

  std::vector<ActionList> run() {
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t position = 0; position < orders_.size(); ++position) moved |= step(position);
    }
    return std::move(lists_);
  }

 private:
  bool step(std::size_t position) {
    const Order& order = orders_[position];
    std::size_t& next = next_[position];
    if (next == order.size()) return false;
    const std::size_t end = next + (order[next].with_next ? 2 : 1);
    for (std::size_t i = next; i < end; ++i) {
      if (!ready(order[i])) return false;
    }
    for (std::size_t i = next; i < end; ++i) {
      lists_[position].push_back({Kind::pass, order[i]});
      done_.insert(key_of(order[i]));
    }
    for (; next < end; ++next) transfer(order[next], lists_[position]);
    return true;
  }

  bool ready(const Action& a) const {
    const int source = links_.source(a.phase, a.stage);
    return source < 0 || done_.contains({a.phase, source, a.microbatch});
  }

  void transfer(const Action& a, ActionList& list) {
    const int target = remote_target(a, placement_, links_);
    if (target < 0) return;
    list.push_back({Kind::send, {a.phase, a.stage, a.microbatch}});
    lists_[static_cast<std::size_t>(placement_.position(target))].push_back(
        {Kind::receive, {a.phase, target, a.microbatch}});
  }

  std::span<const Order> orders_;
  const Placement& placement_;
  const StageLinks& links_;
  std::vector<std::size_t> next_;
  std::vector<ActionList> lists_;
  std::set<PassKey> done_;
};

/// Plays the lists of all positions against each other; a receive waits for its send.
class TransferReplay {
 public:
  TransferReplay(const Placement& placement, const StageLinks& links) : placement_(placement), links_(links) {}

  /// Throws unless its stage is at that position.
  void check_place(const ListedAction& listed, std::size_t position) const {
    const int stage = listed.action.stage;
    if (stage >= placement_.num_stages()) fail(listed, fmt::format("there are {} stages", placement_.num_stages()));
    if (placement_.position(stage) != static_cast<int>(position))
      fail(listed, fmt::format("is given to position {}, its stage is at {}", position, placement_.position(stage)));
  }

  bool ready(const ListedAction& listed) const {
    if (listed.kind != Kind::receive) return true;
    const int source = remote_source(listed.action, placement_, links_);
    if (source < 0) fail(listed, "nothing comes from another position");
    return sent_.contains({listed.action.phase, source, listed.action.microbatch});
  }

  void run(const ListedAction& listed) {
    const Action& a = listed.action;
    const PassKey key = key_of(a);
    switch (listed.kind) {
      case Kind::pass:
        if (remote_source(a, placement_, links_) >= 0 && !received_.contains(key))
          fail(listed, "its receive is missing");
        done_.insert(key);
        break;
      case Kind::send:
        if (remote_target(a, placement_, links_) < 0) fail(listed, "nobody at another position needs it");
        if (!done_.contains(key)) fail(listed, "its pass has not run");
        enter(listed, sent_);
        break;
      case Kind::receive: enter(listed, received_); break;
    }
  }

  void check_complete() const {
    for (const PassKey& key : done_) {
      const auto [phase, stage, microbatch] = key;
      const Action a{phase, stage, microbatch};
      if (has_result(a) && remote_target(a, placement_, links_) >= 0 && !sent_.contains(key))
        fail({Kind::send, a}, "is missing");
    }
  }

 private:
  [[noreturn]] static void fail(const ListedAction& listed, std::string_view what) {
    throw std::invalid_argument(fmt::format("[schedule] {}: {}", listed.to_string(), what));
  }

  /// Once, and per stage in order of microbatches.
  static void enter(const ListedAction& listed, std::set<PassKey>& entered) {
    const PassKey key = key_of(listed.action);
    const auto behind = entered.lower_bound(key);
    const bool has_later = behind != entered.end() && std::get<0>(*behind) == listed.action.phase &&
                           std::get<1>(*behind) == listed.action.stage;
    if (has_later) fail(listed, "stands twice, or behind that of a later microbatch");
    entered.insert(key);
  }

  const Placement& placement_;
  const StageLinks& links_;
  std::set<PassKey> done_, sent_, received_;
};

std::string_view letters_of(const ListedAction& listed) {
  const bool forward = listed.action.phase == Phase::forward;
  return listed.kind == Kind::send ? (forward ? "SEND_F" : "SEND_B") : (forward ? "RECV_F" : "RECV_B");
}

}  // namespace

std::string ListedAction::to_string() const {
  if (kind == Kind::pass) return action.to_string();
  return fmt::format("{}{}{}", action.stage, letters_of(*this), action.microbatch);
}

std::vector<ActionList> with_transfers(std::span<const Order> orders, const Placement& placement,
                                       const StageLinks& links) {
  return Lowering(orders, placement, links).run();
}

void check_transfers(std::span<const ActionList> lists, const Placement& placement, const StageLinks& links) {
  TransferReplay replay(placement, links);
  for (std::size_t i = 0; i < lists.size(); ++i) {
    for (const ListedAction& listed : lists[i]) replay.check_place(listed, i);
  }
  std::vector<std::size_t> next(lists.size(), 0);
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t i = 0; i < lists.size(); ++i) {
      for (; next[i] < lists[i].size() && replay.ready(lists[i][next[i]]); moved = true)
        replay.run(lists[i][next[i]++]);
    }
  }
  for (std::size_t i = 0; i < lists.size(); ++i) {
    if (next[i] < lists[i].size()) {
      throw std::invalid_argument(
          fmt::format("[schedule] position {} waits for ever in {}", i, lists[i][next[i]].to_string()));
    }
  }
  replay.check_complete();
}

}  // namespace dml
