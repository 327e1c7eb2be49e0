// Which stages hand results to each other, and which microbatches each sees: the rules that all schedules obey.
#pragma once

#include "models/graph.h"

namespace dml {

/// With two copies of the model the stages are two chains, and each sees half of the microbatches, the first copy one
/// more where their number is odd.
class StageLinks {
 public:
  StageLinks(int num_stages, int microbatches, int copies)
      : per_copy_(num_stages / copies),
        first_half_(copies == 1 ? microbatches : (microbatches + 1) / 2),
        microbatches_(microbatches) {}

  /// The stage whose pass of that phase this one waits for; -1: none.
  int source(Phase phase, int stage) const { return neighbour(stage, phase == Phase::forward ? -1 : 1, phase); }
  /// The stage whose pass of that phase waits for this one; -1: none.
  int target(Phase phase, int stage) const { return neighbour(stage, phase == Phase::forward ? 1 : -1, phase); }

  /// The microbatches of a stage: from first_microbatch up to, not including, end_microbatch.
  int first_microbatch(int stage) const { return stage < per_copy_ ? 0 : first_half_; }
  int end_microbatch(int stage) const { return stage < per_copy_ ? first_half_ : microbatches_; }

 private:
  int neighbour(int stage, int step, Phase phase) const {
    if (phase != Phase::forward && phase != Phase::input_grad) return -1;
    const int other = stage % per_copy_ + step;
    return other >= 0 && other < per_copy_ ? stage + step : -1;
  }

  int per_copy_, first_half_, microbatches_;
};

}  // namespace dml
