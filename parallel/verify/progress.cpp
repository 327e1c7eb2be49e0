#include "parallel/verify/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "parallel/verify/comm_key.h"
#include "parallel/verify/happens_before.h"

namespace dml {
namespace {

struct ChannelState {
  std::int32_t num_sends = 0, num_receives = 0;  ///< while reading the tasks
  std::int32_t first_of_pass = 0;
  std::int32_t last_microbatch = -1;
  std::int32_t sent = 0, received = 0;  ///< while running
};

struct GroupState {
  std::vector<std::size_t> members;   ///< places in the set
  std::vector<std::size_t> arrivals;  ///< by collective: how many members have come to it
};

/// What a communication task needs to be over.
struct Need {
  std::int32_t shared = -1;    ///< its channel or group
  std::int32_t turn = 0;       ///< which of the channel's receives, or of the group's collectives
  std::int32_t delivered = 0;  ///< of sends: how many values of the channel must be received before
};

struct RankState {
  const Partition* rank = nullptr;
  std::size_t next = 0;  ///< the first task that is not taken
  std::vector<Need> needs;
  std::array<std::vector<std::size_t>, kQueues> queues;
  std::array<std::size_t, kQueues> heads{};    ///< by queue: how many are over
  std::array<std::size_t, kQueues> arrived{};  ///< by queue: how many collectives were announced

  const Task& task(std::size_t at) const { return rank->tasks.tasks[at]; }
  bool is_over(std::size_t at) const {
    const auto q = static_cast<std::size_t>(task(at).queue);
    return heads[q] == queues[q].size() || at < queues[q][heads[q]];
  }
  bool is_done() const { return next == rank->tasks.tasks.size(); }
  bool adds_gradient(std::size_t at) const {
    if (!is_collective(task(at)) || task(at).node == kNone) return false;
    const Node& node = rank->split().graph.node(task(at).node);
    return std::ranges::any_of(node.outputs, [&](ValueId output) { return rank->map->addend_of(output) != kNone; });
  }
};

class Run {
 public:
  explicit Run(RankSet ranks) : states_(ranks.size()) {
    for (std::size_t i = 0; i < ranks.size(); ++i) {
      states_[i].rank = ranks[i];
      place_of_[ranks[i]->rank] = i;
    }
    for (RankState& state : states_) read(state);
  }

  std::vector<Finding> run() {
    std::vector<std::size_t> ready;
    for (std::size_t i = 0; i < states_.size(); ++i) ready.push_back(states_.size() - 1 - i);
    while (!ready.empty()) {
      const std::size_t place = ready.back();
      ready.pop_back();
      advance(states_[place], ready);
    }
    const auto stuck = std::ranges::find_if(states_, [](const RankState& state) { return !is_finished(state); });
    if (stuck == states_.end()) return {};
    return {circle(static_cast<std::size_t>(stuck - states_.begin()))};
  }

 private:
  static bool is_finished(const RankState& state) {
    bool finished = state.is_done();
    for (std::size_t q = 0; q < kQueues; ++q) finished = finished && state.heads[q] == state.queues[q].size();
    return finished;
  }

  void read(RankState& state) {
    for (std::size_t at = 0; at < state.rank->tasks.tasks.size(); ++at) {
      const Task& task = state.task(at);
      state.queues[static_cast<std::size_t>(task.queue)].push_back(at);
      state.needs.push_back(is_collective(task) ? need_of_collective(state, task) : need_of_transfer(state, task));
    }
  }

  Need need_of_collective(const RankState& state, const Task& task) {
    const Group group = group_of(*state.rank, task);
    const auto [found, is_new] = group_ids_.emplace(group, groups_.size());
    if (is_new) {
      groups_.emplace_back();
      for (std::size_t i = 0; i < states_.size(); ++i) {
        if (is_member(*states_[i].rank, group)) groups_.back().members.push_back(i);
      }
    }
    GroupState& g = groups_[found->second];
    const auto turn = static_cast<std::size_t>(turns_[{state.rank->rank, found->second}]++);
    if (g.arrivals.size() <= turn) g.arrivals.resize(turn + 1, 0);
    return {static_cast<std::int32_t>(found->second), static_cast<std::int32_t>(turn), 0};
  }

  Need need_of_transfer(const RankState& state, const Task& task) {
    if (task.kind != TaskKind::send && task.kind != TaskKind::receive) return {};
    const auto [found, is_new] = channel_ids_.emplace(channel_of(*state.rank, task), channels_.size());
    if (is_new) channels_.emplace_back();
    ChannelState& channel = channels_[found->second];
    Need need{static_cast<std::int32_t>(found->second), 0, 0};
    if (task.kind == TaskKind::receive) {
      need.turn = channel.num_receives++;
      return need;
    }
    if (task.id.microbatch != channel.last_microbatch) channel.first_of_pass = channel.num_sends;
    channel.last_microbatch = task.id.microbatch;
    need.delivered = channel.first_of_pass;
    ++channel.num_sends;
    return need;
  }

  void wake(int rank, std::vector<std::size_t>& ready) const {
    const auto found = place_of_.find(rank);
    if (found != place_of_.end()) ready.push_back(found->second);
  }

  void advance(RankState& state, std::vector<std::size_t>& ready) {
    for (bool moves = true; moves;) {
      moves = false;
      while (!state.is_done() && can_take(state)) {
        take(state, ready);
        moves = true;
      }
      for (std::size_t q = 1; q < kQueues; ++q) {
        while (finish_head(state, q, ready)) moves = true;
      }
    }
  }

  bool can_take(const RankState& state) const {
    const Task& task = state.task(state.next);
    if (state.next > 0 && state.adds_gradient(state.next - 1) && !state.is_over(state.next - 1)) return false;
    for (const std::int32_t dep : state.rank->tasks.deps_of(task)) {
      if (!state.is_over(static_cast<std::size_t>(dep))) return false;
    }
    const Need& need = state.needs[state.next];
    return task.kind != TaskKind::send || channels_[static_cast<std::size_t>(need.shared)].received >= need.delivered;
  }

  void take(RankState& state, std::vector<std::size_t>& ready) {
    const Task& task = state.task(state.next);
    if (task.queue == QueueId::compute) ++state.heads[0];
    if (task.kind == TaskKind::send) {
      ++state.heads[static_cast<std::size_t>(task.queue)];
      ++channels_[static_cast<std::size_t>(state.needs[state.next].shared)].sent;
      wake(task.peer, ready);
    }
    ++state.next;
  }

  /// True if the first open task of a queue was taken, and is over now.
  bool finish_head(RankState& state, std::size_t q, std::vector<std::size_t>& ready) {
    if (state.heads[q] == state.queues[q].size()) return false;
    const std::size_t at = state.queues[q][state.heads[q]];
    if (at >= state.next) return false;
    const auto shared = static_cast<std::size_t>(state.needs[at].shared);
    if (state.task(at).kind == TaskKind::receive) {
      if (channels_[shared].sent <= state.needs[at].turn) return false;
      ++channels_[shared].received;
      wake(state.task(at).peer, ready);
    } else if (!has_met(state, q, at, ready)) {
      return false;
    }
    ++state.heads[q];
    return true;
  }

  bool has_met(RankState& state, std::size_t q, std::size_t at, std::vector<std::size_t>& ready) {
    GroupState& group = groups_[static_cast<std::size_t>(state.needs[at].shared)];
    std::size_t& arrivals = group.arrivals[static_cast<std::size_t>(state.needs[at].turn)];
    if (state.arrived[q] == state.heads[q]) {
      ++state.arrived[q];
      if (++arrivals == group.members.size()) ready.insert(ready.end(), group.members.begin(), group.members.end());
    }
    return arrivals == group.members.size();
  }

  /// The open task that holds a rank up: one that the next task waits for, or that one itself.
  static std::size_t holdup(const RankState& state) {
    const auto head_of = [&](std::size_t at) {
      const auto q = static_cast<std::size_t>(state.task(at).queue);
      return state.queues[q][state.heads[q]];
    };
    if (state.is_done()) {
      for (std::size_t q = 0; q < kQueues; ++q) {
        if (state.heads[q] < state.queues[q].size()) return state.queues[q][state.heads[q]];
      }
    }
    if (state.next > 0 && state.adds_gradient(state.next - 1) && !state.is_over(state.next - 1))
      return head_of(state.next - 1);
    for (const std::int32_t dep : state.rank->tasks.deps_of(state.task(state.next))) {
      if (!state.is_over(static_cast<std::size_t>(dep))) return head_of(static_cast<std::size_t>(dep));
    }
    return state.next;
  }

  /// The place of the rank that must act before `at` is over, or that of the rank itself where nobody ever will.
  std::size_t awaited(const RankState& state, std::size_t at) const {
    const std::size_t own = place_of_.at(state.rank->rank);
    if (!is_collective(state.task(at))) {
      const auto found = place_of_.find(state.task(at).peer);
      return found == place_of_.end() ? own : found->second;
    }
    const Need& need = state.needs[at];
    for (const std::size_t member : groups_[static_cast<std::size_t>(need.shared)].members) {
      if (!has_arrived(states_[member], need)) return member;
    }
    return own;
  }

  static bool has_arrived(const RankState& state, const Need& need) {
    for (std::size_t q = 0; q < kQueues; ++q) {
      for (std::size_t i = 0; i < state.arrived[q] && i < state.queues[q].size(); ++i) {
        const std::size_t at = state.queues[q][i];
        if (is_collective(state.task(at)) && state.needs[at].shared == need.shared && state.needs[at].turn == need.turn)
          return true;
      }
    }
    return false;
  }

  Finding circle(std::size_t place) const {
    std::set<std::size_t> seen;
    std::string text;
    const std::size_t first = place;
    while (seen.insert(place).second && !is_finished(states_[place])) {
      const RankState& state = states_[place];
      const std::size_t at = holdup(state);
      const std::size_t other = awaited(state, at);
      text += fmt::format("{}rank {} in {} {} for rank {}", text.empty() ? "" : ", ", state.rank->rank,
                          name_of(state.task(at).kind), state.task(at).id.to_string(), states_[other].rank->rank);
      place = other;
    }
    return finding_at(states_[first].rank->tasks, holdup(states_[first]), "waits for ever: " + text);
  }

  std::vector<RankState> states_;
  std::map<int, std::size_t> place_of_;  ///< by world rank
  std::map<Channel, std::size_t> channel_ids_;
  std::map<Group, std::size_t> group_ids_;
  std::map<std::pair<int, std::size_t>, std::int32_t> turns_;  ///< by rank and group: collectives read so far
  std::vector<ChannelState> channels_;
  std::vector<GroupState> groups_;
};

}  // namespace

std::vector<Finding> verify_progress(RankSet ranks) { return Run(ranks).run(); }

}  // namespace dml
