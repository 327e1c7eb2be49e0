// What messages and collectives are matched by: a key that is the same on all ranks that take part in one.
#pragma once

#include <compare>
#include <vector>

#include "parallel/partition.h"

namespace dml {

/// A direction between two ranks; its transfers are matched in order.
struct Channel {
  int from = 0, to = 0, number = 0;
  auto operator<=>(const Channel&) const = default;
};
Channel channel_of(const Partition& rank, const Task& transfer);

/// A group of ranks; its collectives are matched in order.
struct Group {
  Axis axis = Axis::world;
  int color = 0;            ///< of the group among those of its axis
  std::vector<int> stages;  ///< of axis pipeline: those that share the weights
  auto operator<=>(const Group&) const = default;
};
Group group_of(const Partition& rank, const Task& collective);
/// True if the rank is a member.
bool is_member(const Partition& rank, const Group& group);

inline bool is_collective(const Task& task) { return is_collective(task.kind); }
inline bool is_transfer(const Task& task) { return task.kind == TaskKind::send || task.kind == TaskKind::receive; }

}  // namespace dml
