#include "parallel/verify/comm_key.h"

#include <algorithm>

namespace dml {

Channel channel_of(const Partition& rank, const Task& transfer) {
  return transfer.kind == TaskKind::send ? Channel{rank.rank, transfer.peer, transfer.channel}
                                         : Channel{transfer.peer, rank.rank, transfer.channel};
}

Group group_of(const Partition& rank, const Task& collective) {
  if (collective.axis == Axis::world) return {};
  Group group{collective.axis, rank.mesh.group_color(rank.rank, collective.axis), {}};
  if (collective.axis != Axis::pipeline) return group;
  const auto bucket = std::ranges::find(rank.layout.buckets, rank.tasks.work_of(collective).begin, &Bucket::begin);
  if (bucket != rank.layout.buckets.end()) group.stages = bucket->tied_stages;
  return group;
}

bool is_member(const Partition& rank, const Group& group) {
  if (group.axis == Axis::world) return true;
  if (rank.mesh.group_color(rank.rank, group.axis) != group.color) return false;
  return group.axis != Axis::pipeline ||
         std::ranges::any_of(group.stages, [&](int stage) { return rank.placement.position(stage) == rank.at.p; });
}

}  // namespace dml
