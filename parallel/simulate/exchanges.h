// Which communication tasks of several ranks are one exchange: a send and its receive, or a collective of a group.
#pragma once

#include <span>
#include <vector>

#include "parallel/mesh.h"
#include "parallel/rank_classes.h"
#include "parallel/task_graph.h"

namespace dml {

/// A task of a rank: indices in the list of ranks, and in the rank's tasks.
struct Side {
  std::int32_t rank = 0;
  std::int32_t task = 0;
};

struct Exchanges {
  std::vector<std::vector<Side>> sides;            ///< by exchange, in order of ranks
  std::vector<std::vector<std::int32_t>> of_task;  ///< by rank and task: its exchange, or -1 where it computes
};

/// `ranks` are all ranks of the mesh, by number. Transfers match by order per (sender, receiver, channel), collectives
/// by group and task. Throws std::invalid_argument for a transfer without its counterpart, and a collective that not
/// all of its group take part in.
Exchanges find_exchanges(std::span<const RankTasks> ranks, const Mesh& mesh);
/// The same of the first rank of each class: a side stands for all ranks of its class.
Exchanges find_exchanges(std::span<const RankTasks> ranks, const RankClasses& classes);

}  // namespace dml
