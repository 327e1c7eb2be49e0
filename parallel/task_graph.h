// The TaskGraph: what runs where, in which order. It is generated, simulated, executed, measured and drawn; a task's id
// is computed from its coordinates, never counted, so it is the same in every run, on every rank, in every view.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "models/graph.h"
#include "parallel/mesh.h"

namespace dml {

enum class TaskKind : std::uint8_t { load, compute, send, receive, all_reduce, all_gather, reduce_scatter, update };
std::string_view name_of(TaskKind kind);
bool is_collective(TaskKind kind);

/// Queues of one rank: tasks of one queue run in order.
enum class QueueId : std::uint8_t { compute, tensor_comm, pipeline_send, pipeline_receive, data_comm };

/// Sortable, and readable: "F.m2.s1.d0.t1.n37" is the forward pass of operation 37 for microbatch 2 in stage 1.
struct TaskId {
  Phase phase = Phase::forward;
  std::int32_t operation = 0;  ///< node of the split graph; beyond them: transfers, buckets, update
  std::int32_t microbatch = 0;
  std::int16_t stage = 0;
  std::int16_t tensor = 0;
  std::int32_t replica = 0;
  auto operator<=>(const TaskId&) const = default;
  std::string to_string() const;
};

/// What a task computes and moves.
struct Work {
  std::int64_t bytes = 0;  ///< read and written, or moved
  double flops = 0;
  /// Of gradient collectives and updates: range of the flat buffer. A reduce-scatter leaves each replica what of the
  /// range it updates; of gathered weights only their count.
  std::int64_t begin = 0, count = 0;
};

/// One task of one rank. Flat, and small, as there are millions: lists, and what tasks of several microbatches have
/// alike, live in the arrays of the RankTasks that holds it.
struct Task {
  TaskId id;
  TaskKind kind = TaskKind::compute;
  QueueId queue = QueueId::compute;
  Axis axis = Axis::tensor;    ///< of collectives: the group
  std::int32_t node = kNone;   ///< of compute and tensor collectives: node of the split graph
  std::int32_t value = kNone;  ///< of transfers: the value that moves
  std::int32_t peer = -1;      ///< of transfers: world rank
  std::int32_t channel = 0;    ///< of transfers
  std::int32_t work = 0;       ///< its place in the works
  std::int32_t first_dep = 0, num_deps = 0;
};

/// The tasks of one rank in the order in which its queues take them.
struct RankTasks {
  int rank = 0;
  std::vector<Task> tasks;
  std::vector<std::int32_t> deps;  ///< indices of tasks of the same rank
  std::vector<Work> works;         ///< one for all tasks of an operation over microbatches of the same size
  std::span<const std::int32_t> deps_of(const Task& task) const {
    return {deps.data() + task.first_dep, static_cast<std::size_t>(task.num_deps)};
  }
  const Work& work_of(const Task& task) const { return works[static_cast<std::size_t>(task.work)]; }
};

}  // namespace dml
