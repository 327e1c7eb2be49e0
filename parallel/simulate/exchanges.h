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
  std::vector<Side> all_sides;          ///< of the first exchange, of the second, ..., each in order of ranks
  std::vector<std::size_t> first_side;  ///< by exchange, and the end
  std::vector<std::vector<std::int32_t>> of_task;  ///< by rank and task: its exchange, or -1 where it computes

  std::size_t size() const { return first_side.size() - 1; }
  std::span<const Side> sides(std::int32_t exchange) const {
    const auto at = static_cast<std::size_t>(exchange);
    return std::span(all_sides).subspan(first_side[at], first_side[at + 1] - first_side[at]);
  }
};

/// `ranks` are all ranks of the mesh, by number. Transfers match by order per (sender, receiver, channel), collectives
/// by group and task. Throws std::invalid_argument for a transfer without its counterpart, and a collective that not
/// all of its group take part in.
Exchanges find_exchanges(std::span<const RankTasks> ranks, const Mesh& mesh);
/// The same of the first rank of each class: a side stands for all ranks of its class.
Exchanges find_exchanges(std::span<const RankTasks> ranks, const RankClasses& classes);

}  // namespace dml
