#include "parallel/verify/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "models/index.h"
#include "parallel/memory/step_sequence.h"
#include "parallel/verify/comm_key.h"

namespace dml {
namespace {

struct ChannelState {
  std::int32_t num_sends = 0, num_receives = 0;        ///< in all
  std::int32_t sends_posted = 0, receives_posted = 0;  ///< so far
};

struct GroupState {
  std::vector<std::size_t> members;  ///< places in the set
  std::vector<std::int32_t> number;  ///< by place in the set: collectives in all
  std::vector<std::int32_t> posted;  ///< by place in the set: collectives so far
  std::vector<std::size_t> arrived;  ///< by collective: members that have posted it
};

/// What a task that communicates is matched by.
struct Meeting {
  std::size_t shared = 0;  ///< its channel or group
  std::int32_t turn = 0;   ///< which of the channel's sends or receives, or of the group's collectives
};

struct RankState {
  const Partition* rank = nullptr;
  std::vector<Slot> slots;
  std::size_t next = 0;             ///< the first slot that is not over
  std::vector<Meeting> meetings{};  ///< by task

  const Task& task(std::int32_t at) const { return rank->tasks.tasks[index(at)]; }
  bool is_done() const { return next == slots.size(); }
  /// The task that a rank waits for which is not done.
  std::int32_t awaited() const { return slots[next].task; }
};

class Run {
 public:
  explicit Run(RankSet ranks) {
    for (std::size_t i = 0; i < ranks.size(); ++i) {
      place_of_[ranks[i]->rank] = i;
      const StepSequence sequence(inputs_of(*ranks[i], ranks[i]->tasks));
      states_.push_back({ranks[i], {sequence.slots().begin(), sequence.slots().end()}});
    }
    for (std::size_t i = 0; i < states_.size(); ++i) find_meetings(i);
  }

  std::vector<Finding> run() {
    std::vector<std::size_t> ready;
    for (std::size_t i = 0; i < states_.size(); ++i) ready.push_back(states_.size() - 1 - i);
    while (!ready.empty()) {
      const std::size_t place = ready.back();
      ready.pop_back();
      advance(place, ready);
    }
    const auto stuck = std::ranges::find_if(states_, [](const RankState& state) { return !state.is_done(); });
    if (stuck == states_.end()) return {};
    return {circle(static_cast<std::size_t>(stuck - states_.begin()))};
  }

 private:
  void find_meetings(std::size_t place) {
    RankState& state = states_[place];
    for (const Task& task : state.rank->tasks.tasks) {
      if (is_collective(task)) {
        const std::size_t group = find_group(group_of(*state.rank, task));
        const std::int32_t turn = groups_[group].number[place]++;
        state.meetings.push_back({group, turn});
        groups_[group].arrived.resize(std::max(groups_[group].arrived.size(), index(turn) + 1), 0);
      } else if (is_transfer(task)) {
        const std::size_t found = find_channel(channel_of(*state.rank, task));
        ChannelState& channel = channels_[found];
        state.meetings.push_back({found, task.kind == TaskKind::send ? channel.num_sends++ : channel.num_receives++});
      } else {
        state.meetings.emplace_back();
      }
    }
  }

  std::size_t find_group(const Group& group) {
    const auto [found, is_new] = group_ids_.emplace(group, groups_.size());
    if (!is_new) return found->second;
    GroupState& state = groups_.emplace_back();
    for (std::size_t i = 0; i < states_.size(); ++i) {
      if (is_member(*states_[i].rank, group)) state.members.push_back(i);
    }
    state.number.resize(states_.size(), 0);
    state.posted.resize(states_.size(), 0);
    return found->second;
  }

  std::size_t find_channel(const Channel& channel) {
    const auto [found, is_new] = channel_ids_.emplace(channel, channels_.size());
    if (is_new) channels_.emplace_back();
    return found->second;
  }

  void advance(std::size_t place, std::vector<std::size_t>& ready) {
    RankState& state = states_[place];
    for (; !state.is_done(); ++state.next) {
      const Slot& slot = state.slots[state.next];
      if (slot.kind == SlotKind::post) post(place, slot.task, ready);
      if (slot.kind == SlotKind::wait && !is_over(state, slot.task)) return;
    }
  }

  bool is_over(const RankState& state, std::int32_t at) const {
    const Meeting& meeting = state.meetings[index(at)];
    if (is_collective(state.task(at))) return is_met(groups_[meeting.shared], meeting.turn);
    const ChannelState& channel = channels_[meeting.shared];
    return std::min(channel.sends_posted, channel.receives_posted) > meeting.turn;
  }

  static bool is_met(const GroupState& group, std::int32_t turn) {
    return group.arrived[index(turn)] == group.members.size();
  }

  /// The place of a member that has not posted a collective.
  std::size_t missing_member(const Meeting& meeting) const {
    const GroupState& group = groups_[meeting.shared];
    return *std::ranges::find_if(group.members,
                                 [&](std::size_t member) { return group.posted[member] <= meeting.turn; });
  }

  /// Those who may wait for it are ready again.
  void post(std::size_t place, std::int32_t at, std::vector<std::size_t>& ready) {
    const RankState& state = states_[place];
    const Task& task = state.task(at);
    const Meeting& meeting = state.meetings[index(at)];
    if (is_collective(task)) {
      GroupState& group = groups_[meeting.shared];
      ++group.posted[place];
      ++group.arrived[index(meeting.turn)];
      if (is_met(group, meeting.turn)) ready.insert(ready.end(), group.members.begin(), group.members.end());
      return;
    }
    ChannelState& channel = channels_[meeting.shared];
    ++(task.kind == TaskKind::send ? channel.sends_posted : channel.receives_posted);
    const auto peer = place_of_.find(task.peer);
    if (peer != place_of_.end()) ready.push_back(peer->second);
  }

  /// The place of the rank that must act before a rank goes on, or its own where nobody ever will.
  std::size_t awaited_rank(std::size_t place) const {
    const RankState& state = states_[place];
    const Task& task = state.task(state.awaited());
    if (is_collective(task)) return missing_member(state.meetings[index(state.awaited())]);
    const auto peer = place_of_.find(task.peer);
    return peer == place_of_.end() ? place : peer->second;
  }

  Finding circle(std::size_t place) const {
    std::set<std::size_t> seen;
    std::string text;
    const RankState& first = states_[place];
    while (seen.insert(place).second && !states_[place].is_done()) {
      const RankState& state = states_[place];
      const Task& task = state.task(state.awaited());
      place = awaited_rank(place);
      text += fmt::format("{}rank {} in {} {} for rank {}", text.empty() ? "" : ", ", state.rank->rank,
                          name_of(task.kind), task.id.to_string(), states_[place].rank->rank);
    }
    return finding_at(first.rank->tasks, index(first.awaited()), "waits for ever: " + text);
  }

  std::vector<RankState> states_;
  std::map<int, std::size_t> place_of_;  ///< by world rank
  std::map<Channel, std::size_t> channel_ids_;
  std::map<Group, std::size_t> group_ids_;
  std::vector<ChannelState> channels_;
  std::vector<GroupState> groups_;
};

}  // namespace

std::vector<Finding> verify_progress(RankSet ranks) { return Run(ranks).run(); }

}  // namespace dml
