// What is read of another program's trace: the passes that one rank ran, and its kernels by kind.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "launch/trace/pass_name.h"
#include "parallel/mesh.h"
#include "parallel/simulate/schedule_simulation.h"

namespace dml {

/// Seconds on the clock of the trace.
struct TracedPass {
  PassName name;
  double start = 0;
  double end = 0;
};

struct RankTrace {
  std::string file;
  int rank = -1;                   ///< -1: the trace does not say
  int position = -1;               ///< on the pipeline; -1: the trace does not say
  std::vector<TracedPass> passes;  ///< of one step or several, in order of time
  /// Seconds of kernels by kind ("compute", "copies", "all_reduce", ...), and of those of communication while no
  /// compute ran ("exposed comm"). Empty where the trace has no kernels.
  std::map<std::string, double> kernels;
};

/// Reads files, and folders of files: event_times_*.json of Megatron-LM's timers, else Chrome traces (of PyTorch's
/// profiler, Kineto, one file for each rank; of dmltrain, one for all). Throws IoError with the file, and what is wrong
/// with it.
std::vector<RankTrace> read_traces(std::span<const std::string> paths);

/// The passes of the last step that all positions have, by the trace of the lowest rank of each position. Throws
/// std::invalid_argument where a rank is none of the mesh, a position has no trace, or a pass no stage.
std::vector<TimedAction> passes_of_step(std::span<const RankTrace> traces, const Mesh& mesh,
                                        const Placement& placement);

}  // namespace dml
