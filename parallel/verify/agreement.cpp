#include "parallel/verify/agreement.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "parallel/verify/comm_key.h"

namespace dml {
namespace {

/// A task of a rank of the set.
struct Place {
  const Partition* rank = nullptr;
  std::size_t task = 0;
  const Task& get() const { return rank->tasks.tasks[task]; }
};

Finding finding_at(const Place& place, std::string what) {
  return finding_at(place.rank->tasks, place.task, std::move(what));
}

struct Transfers {
  std::vector<Place> sends, receives;
};

std::map<Channel, Transfers> transfers_of(RankSet ranks) {
  std::map<Channel, Transfers> channels;
  for (const Partition* rank : ranks) {
    for (std::size_t i = 0; i < rank->tasks.tasks.size(); ++i) {
      const Task& task = rank->tasks.tasks[i];
      if (task.kind == TaskKind::send) channels[channel_of(*rank, task)].sends.push_back({rank, i});
      if (task.kind == TaskKind::receive) channels[channel_of(*rank, task)].receives.push_back({rank, i});
    }
  }
  return channels;
}

std::int64_t bytes_of(const Place& place) { return place.rank->tasks.work_of(place.get()).bytes; }

auto moved(const Place& place) {
  const Task& task = place.get();
  return std::tuple(task.value, task.id.microbatch, task.id.phase, bytes_of(place));
}

/// The first difference alone: what follows it is out of step.
void match(const Channel& channel, const Transfers& transfers, std::vector<Finding>& findings) {
  const auto& [sends, receives] = transfers;
  const auto [send, receive] = std::mismatch(sends.begin(), sends.end(), receives.begin(), receives.end(),
                                             [](const Place& a, const Place& b) { return moved(a) == moved(b); });
  if (send != sends.end() && receive != receives.end()) {
    findings.push_back(finding_at(
        *receive, fmt::format("receives {} bytes on channel {}, rank {} sends {} of {} bytes", bytes_of(*receive),
                              channel.number, channel.from, send->get().id.to_string(), bytes_of(*send))));
  } else if (send != sends.end()) {
    findings.push_back(
        finding_at(*send, fmt::format("rank {} does not receive it on channel {}", channel.to, channel.number)));
  } else if (receive != receives.end()) {
    findings.push_back(
        finding_at(*receive, fmt::format("rank {} does not send it on channel {}", channel.from, channel.number)));
  }
}

/// What the members of a group must say alike of a collective.
struct Collective {
  TaskKind kind;
  Phase phase;
  std::int32_t operation, microbatch;
  std::int64_t begin, count, bytes;
  std::vector<ValueId> parameters;
  friend bool operator==(const Collective&, const Collective&) = default;
};

std::vector<ValueId> parameters_of(const FlatLayout& layout, std::int64_t begin) {
  std::vector<ValueId> parameters;
  const auto bucket = std::ranges::find(layout.buckets, begin, &Bucket::begin);
  if (bucket == layout.buckets.end()) return parameters;
  for (int s = bucket->first_segment; s < bucket->first_segment + bucket->num_segments; ++s)
    parameters.push_back(layout.segments[static_cast<std::size_t>(s)].value);
  return parameters;
}

Collective collective_of(const Partition& rank, const Task& t) {
  const Work& work = rank.tasks.work_of(t);
  Collective c{t.kind, t.id.phase, t.id.operation, t.id.microbatch, work.begin, work.count, work.bytes, {}};
  // Ranks that share weights have them in other places of buffers of other sizes.
  if (t.axis == Axis::pipeline || t.axis == Axis::tensor) c.begin = 0;
  if (t.axis == Axis::world) c.operation = 0;
  if (t.axis != Axis::world && t.node == kNone) c.parameters = parameters_of(rank.layout, work.begin);
  return c;
}

using ByRank = std::map<const Partition*, std::vector<std::size_t>>;

std::map<Group, ByRank> collectives_of(RankSet ranks) {
  std::map<Group, ByRank> groups;
  for (const Partition* rank : ranks) {
    for (std::size_t i = 0; i < rank->tasks.tasks.size(); ++i) {
      const Task& task = rank->tasks.tasks[i];
      if (is_collective(task)) groups[group_of(*rank, task)][rank].push_back(i);
    }
  }
  return groups;
}

void compare(const Partition& first, const std::vector<std::size_t>& wanted, const Partition& rank,
             const std::vector<std::size_t>& found, std::vector<Finding>& findings) {
  const auto [a, b] =
      std::mismatch(wanted.begin(), wanted.end(), found.begin(), found.end(), [&](std::size_t x, std::size_t y) {
        return collective_of(first, first.tasks.tasks[x]) == collective_of(rank, rank.tasks.tasks[y]);
      });
  if (a != wanted.end() && b != found.end()) {
    findings.push_back(finding_at(rank.tasks, *b,
                                  fmt::format("rank {} of the same group has {} at this place", first.rank,
                                              first.tasks.tasks[*a].id.to_string())));
  } else if (a != wanted.end()) {
    findings.push_back(
        finding_at(first.tasks, *a, fmt::format("rank {} of the same group does not take part", rank.rank)));
  } else if (b != found.end()) {
    findings.push_back(
        finding_at(rank.tasks, *b, fmt::format("rank {} of the same group does not take part", first.rank)));
  }
}

}  // namespace

std::vector<Finding> verify_transfers(RankSet ranks) {
  std::vector<Finding> findings;
  for (const auto& [channel, transfers] : transfers_of(ranks)) match(channel, transfers, findings);
  return findings;
}

std::vector<Finding> verify_collectives(RankSet ranks) {
  std::vector<Finding> findings;
  for (auto& [group, by_rank] : collectives_of(ranks)) {
    const auto first = std::ranges::find_if(ranks, [&](const Partition* rank) { return is_member(*rank, group); });
    if (first == ranks.end()) continue;
    for (const Partition* rank : ranks) {
      if (rank != *first && is_member(*rank, group)) compare(**first, by_rank[*first], *rank, by_rank[rank], findings);
    }
  }
  return findings;
}

}  // namespace dml
