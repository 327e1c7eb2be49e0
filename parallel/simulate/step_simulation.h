// A whole step of all ranks in time: the tasks that the runtime executes, played with the seconds that each takes.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "parallel/mesh.h"
#include "parallel/rank_classes.h"
#include "parallel/simulate/shared_hosts.h"
#include "parallel/task_graph.h"
#include "parallel/timeline.h"

namespace dml {

/// Seconds of task `index` of a rank: of a compute task with the cores it wants; of communication from the time when
/// all sides have posted it until this side is done.
using TaskSeconds = std::function<double(const RankTasks& rank, std::size_t index)>;

/// How a rank's step divides, in seconds; the parts sum to `step`.
struct StepParts {
  double step = 0;
  double compute = 0;
  double core_wait = 0;     ///< by which sharing cores, or what communication takes of a device, makes compute longer
  double exposed_comm = 0;  ///< waiting on a collective or a send, or for a host that issues tasks
  double bubble = 0;        ///< waiting on a receive
};

struct SimulatedStep {
  Timeline timeline;             ///< a span for every task; of communication from post to completion
  std::vector<StepParts> parts;  ///< in the order of the ranks
  double seconds = 0;            ///< until the last rank has ended
};

/// Plays the step as the executor runs it: each rank takes its tasks in order, computes, and posts communication
/// without waiting for it; it waits where a task needs one that is not over. Where hosts need time to dispatch a task,
/// a pass takes that for each of its nodes at least. Where cores communicate, each side does its part of an exchange
/// when all have posted it and its own task has ended, and goes on then; the exchange is over with the last part.
/// Where the ranks of a host share its links to others, those who send there at the same time slow each other, and so
/// do those who receive.
/// `ranks` are all ranks of the mesh, by number. Throws std::invalid_argument where communication has no counterpart,
/// or ranks wait for each other for ever.
SimulatedStep simulate_step(std::span<const RankTasks> ranks, const Mesh& mesh, const Hosts& hosts,
                            const TaskSeconds& seconds);
/// The same step, of the first rank of each class: what a rank exchanges with another class stands for what all ranks
/// of both do. `ranks` are by class, as are the parts. All ranks of a class have the same tasks, which take the same
/// seconds, and as many ranks of each class on their host (divided_by_places).
SimulatedStep simulate_step(std::span<const RankTasks> ranks, const RankClasses& classes, const Hosts& hosts,
                            const TaskSeconds& seconds);

}  // namespace dml
