// The seconds of the tasks of a partition on some hardware.
#pragma once

#include <span>

#include "parallel/cost/hardware.h"
#include "parallel/partition.h"
#include "parallel/simulate/step_simulation.h"

namespace dml {

CommKind comm_kind_of(TaskKind collective);

/// For simulate_step.
Hosts hosts_of(const Hardware& hardware, int ranks_per_host, double ranks_at_full_speed);

/// How the ranks of a run compute.
struct RunMode {
  ComputeMode compute;
  int optimizer_states = 2;  ///< f32 values kept for each weight: 2 of Adam, 1 of momentum, 0
};

/// For simulate_step: of a node by its family on the rank's device, of communication by its group. `ranks` are those
/// that are simulated; all arguments must outlive the result. A node is priced once for all ranks and microbatches that
/// have the same graph. Throws std::invalid_argument where the machine has less ranks than the mesh.
TaskSeconds task_seconds(const Hardware& hardware, std::span<const Partition> ranks, const RunMode& mode);

}  // namespace dml
