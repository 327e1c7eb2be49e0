// When each task ran on each rank: simulated or measured, in the same shape, joined by task index.
#pragma once

#include <cstdint>
#include <vector>

namespace dml {

/// One task's execution. Times are seconds since the first rank began the step, on one clock for all.
struct Span {
  std::int32_t task = 0;  ///< index in the rank's part of the TaskGraph
  std::int32_t rank = 0;
  double start = 0;       ///< begun; of communication: posted
  double end = 0;         ///< finished
  double processor = -1;  ///< seconds on the processor inside it; -1 where unknown
};

struct Timeline {
  bool measured = false;
  std::vector<Span> spans;  ///< by rank, then in order of start
};

}  // namespace dml
