// What `dmltrain compare` shows: a run's measured step beside the step that is generated for its configuration.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "launch/terminal/style.h"
#include "parallel/compare/compare.h"
#include "parallel/partition.h"

namespace dml {

/// Seconds of the parts of a step, in the mean over ranks.
struct ComparedParts {
  StepParts predicted, measured;
};

/// A stretch of a critical path in words.
struct PathShare {
  std::string what;  ///< "forward", "all_reduce t", ...
  double predicted = 0;
  double measured = 0;
};

struct Comparison {
  std::string run;
  std::string by;  ///< where the predicted times come from
  std::size_t num_generated = 0;
  JoinedStep joined;
  Timeline predicted;  ///< a span for every generated task, as in `joined.measured`
  double predicted_step = 0;
  double measured_step = 0;          ///< the step that was traced
  std::vector<double> step_seconds;  ///< all steps of the run but the first two
  ComparedParts parts;
  double task_error = 0;  ///< of compute tasks
  std::vector<ComparedGroup> kinds, families;
  std::vector<PathShare> path;
  struct Outlier {
    ComparedTask task;
    std::string id, name;
  };
  std::vector<Outlier> outliers;

  bool agrees() const { return joined.not_executed.empty() && joined.not_generated.empty(); }
};

std::string comparison_text(const Comparison& comparison, Style style);
std::string comparison_json(const Comparison& comparison);
/// A page of its own. `step_chart` is step_chart_json() of both steps, the generated side first.
std::string comparison_page(const Comparison& comparison, const std::string& step_chart);

}  // namespace dml
