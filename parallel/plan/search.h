// Which layout trains fastest: every layout of a world priced, best first.
#pragma once

#include <string>
#include <vector>

#include "parallel/plan/estimate.h"

namespace dml {

struct RankedLayout {
  LayoutChoice layout;
  StepEstimate estimate;
};

struct RejectedLayout {
  LayoutChoice layout;
  Obstacle why = Obstacle::batch;
  std::string message;  ///< with the values
};

struct SearchResult {
  std::vector<RankedLayout> ranked;  ///< the fastest first; of equals, the one with less memory
  std::vector<RejectedLayout> rejected;
  double one_device_seconds = 0;  ///< of a step on one device, in its best number of microbatches, of any memory
};

/// `model` as training has it, cut by graphs of `samples` samples; `on_one_device` is as `options` for a world of one
/// rank. A layout that lacks memory stands there with the first techniques of the space that make it fit, else with the
/// last ones. The result does not depend on the number of threads.
SearchResult search_layouts(const GraphOfBatch& model, std::int64_t samples, const Hardware& hardware,
                            const SearchSpace& space, const EstimateOptions& options,
                            const EstimateOptions& on_one_device, int threads = 1);

}  // namespace dml
