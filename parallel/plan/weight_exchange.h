// What the replicas of a pipeline position exchange of its weights in a step: gradients, and under ZeRO the weights.
#pragma once

#include "parallel/cost/hardware.h"
#include "parallel/plan/divided_prices.h"
#include "parallel/plan/layout_choice.h"

namespace dml {

/// By the stage of ZeRO (Rajbhandari et al. 2020, section 7):
/// - 0: gradients are all-reduced.
/// - 1: gradients are reduce-scattered, and the updated weights all-gathered behind the update.
/// - 2: as 1, but the gradients of every microbatch are scattered when it is done.
/// - 3: as 2, but weights are gathered for every pass, while the pass before it computes.
/// Tied weights are all-reduced over their positions first, and gradients of which the tensor ranks have addends over
/// these, once a step.
class WeightExchange {
 public:
  /// Keeps the arguments.
  WeightExchange(const Hardware& hardware, const LayoutChoice& layout, const PositionWeights& weights)
      : hardware_(hardware), layout_(layout), weights_(weights) {}

  /// Seconds that sums of gradients take beyond the backward passes, the last of which takes `last_pass` seconds. n
  /// buckets, one ready each n-th of a pass, are summed in a row.
  double exposed_sums(double last_pass) const;
  /// Seconds behind the update.
  double gather_behind_update() const;
  /// Seconds before a pass can begin where nothing hides them: for the weights of one of the position's chunks.
  double gather_of_pass() const;
  /// Results of the collectives of one rank.
  double moved_bytes() const;
  /// Elements whose optimizer states a rank has.
  double updated_elems() const;

 private:
  bool scatters() const { return layout_.techniques.shares_states(); }
  CommGroup replicas() const { return {layout_.d, layout_.p * layout_.t}; }
  double gradient_sum(double bytes) const;
  double weight_bytes() const;

  const Hardware& hardware_;
  const LayoutChoice& layout_;
  const PositionWeights& weights_;
};

}  // namespace dml
