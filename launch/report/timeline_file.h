// measured.json of a run folder: when each task of a step ran on each rank. Its schema: `dmltrain help compare`.
#pragma once

#include <span>
#include <string>

#include "parallel/compare/compare.h"
#include "parallel/task_graph.h"
#include "parallel/timeline.h"

namespace dml {

/// What the ranks of the run had.
struct RunPlace {
  int threads_per_rank = 1;
  int usable_cores = 1;  ///< of a host
  int ranks_per_host = 1;
};

/// The text of the file. `timeline` holds the spans of all ranks, by rank.
std::string timeline_text(std::span<const RankTasks> ranks, const Timeline& timeline, const RunPlace& place);

struct TimelineFile {
  RunPlace place;
  MeasuredStep step;
};

/// Throws IoError, with the path, where the file is not there, cut short, or none of these.
TimelineFile read_timeline(const std::string& path);

}  // namespace dml
