// Whether weights that replicas divide among each other (ZeRO) are whole where they are read, and at the end of a step.
#pragma once

#include <cstddef>
#include <map>
#include <tuple>
#include <vector>

#include "parallel/partition.h"
#include "parallel/verify/finding.h"
#include "parallel/verify/happens_before.h"

namespace dml {

/// Follows the all-gathers of weights over the replicas of one rank: behind the update, of all that it updated; where
/// replicas share parameters, for every pass, of what its stage reads. See verify_rank for what is demanded.
class WeightGathers {
 public:
  /// Keeps the references.
  WeightGathers(const Partition& partition, std::vector<Finding>& findings);

  /// Whether a task is one that this class follows.
  static bool gathers(const Task& task) {
    return task.kind == TaskKind::all_gather && task.axis == Axis::data && task.node == kNone;
  }

  /// Task `at` gathers weights; `before` has taken it last, and `update` is the task of the update, or -1.
  void take(std::size_t at, const HappensBefore& before, std::int32_t update);
  /// Task `at`, of a node, reads `parameter`.
  void read(std::size_t at, ValueId parameter, const HappensBefore& before);
  /// What is missing at the end of the step.
  void finish();

 private:
  using Pass = std::tuple<Phase, std::int32_t, std::int16_t>;  ///< phase, microbatch, stage

  const Task& task(std::size_t at) const { return p_.tasks.tasks[at]; }
  void report(std::size_t at, std::string what) { findings_.push_back(finding_at(p_.tasks, at, std::move(what))); }
  /// The gathered weights are those of a stage, or of all where it is kNone.
  void check_range(std::size_t at, int stage);

  const Partition& p_;
  std::vector<Finding>& findings_;
  bool for_passes_, behind_update_;
  std::map<Pass, std::int32_t> of_pass_;  ///< the task
  bool is_gathered_ = false;              ///< behind the update
};

}  // namespace dml
