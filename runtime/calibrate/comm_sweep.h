// Measures messages and collectives on a communicator that training would use.
#pragma once

#include <map>
#include <span>
#include <vector>

#include "parallel/cost/hardware.h"
#include "runtime/comm/communicator.h"

namespace dml {

/// Seconds of one kind by bytes, in one group.
struct CommCurve {
  std::vector<double> seconds;
  std::vector<double> spread;
};

/// The bytes that are measured.
std::span<const double> comm_sweep_bytes();

/// Collective. Each kind and size is measured as a step uses it, in several batches of operations: on memory that is
/// not in the caches, but for the data that is given, which the rank has just computed. The result, the median of the
/// batches in the mean over ranks, is the same on all ranks. Messages go to and fro between the first two ranks, each
/// to one that has waited for it a while (half of the round trip counts), a broadcast has another root each time.
/// Takes 64 MiB of memory per rank.
std::map<CommKind, CommCurve> measure_comm(Communicator& group);

/// The curves of groups, by their number of ranks, as tables; messages by two ranks.
CommTables comm_tables(const std::map<int, std::map<CommKind, CommCurve>>& by_ranks);

}  // namespace dml
