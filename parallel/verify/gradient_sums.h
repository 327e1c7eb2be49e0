// Whether the gradients of one rank are summed over everything they are a sum of, exactly once, before they are used.
#pragma once

#include <cstddef>
#include <vector>

#include "parallel/partition.h"
#include "parallel/verify/finding.h"
#include "parallel/verify/happens_before.h"

namespace dml {

/// Follows the flat gradient buffers of a rank through its tasks: addends go in, sums over positions and replicas take
/// ranges of them, totals and update read them. See verify_rank for what is demanded.
class GradientSums {
 public:
  /// Checks the table of the flat buffers at once. Keeps the references.
  GradientSums(const Partition& partition, bool clips, std::vector<Finding>& findings);

  /// Task `at` adds `addend` to its parameter's gradient.
  void add(std::size_t at, ValueId addend);
  /// Task `at` is none of a node or a transfer; `before` has taken it last.
  void take(std::size_t at, const HappensBefore& before);
  /// What is missing at the end of the step.
  void finish();

 private:
  /// A parameter's gradient.
  struct Gradient {
    int bucket = -1;
    std::size_t expected = 0;  ///< addends of this rank in a step
    std::size_t added = 0;
    std::int32_t last = -1;  ///< the task that added last
  };
  /// The sums of a bucket: the tasks, or -1.
  struct Sums {
    bool shared = false;  ///< other positions have a part in it
    std::int32_t positions = -1;
    std::int32_t replicas = -1;
  };

  const Task& task(std::size_t at) const { return p_.tasks.tasks[at]; }
  void report(std::size_t at, std::string what) { findings_.push_back(finding_at(p_.tasks, at, std::move(what))); }
  void report_value(ValueId value, std::string what);

  void read_layout();
  void read_bucket(int bucket);
  void check_readers();
  void check_addends(ValueId parameter, ValueId gradient);

  void sum(std::size_t at, const HappensBefore& before);
  void end_step(std::size_t at, const HappensBefore& before);
  /// True if all addends of this rank are in, and nothing adds while `before`'s task runs.
  bool is_added(const Bucket& bucket, const HappensBefore& before) const;
  bool is_whole(int bucket, const HappensBefore& before) const;
  void expect_whole(std::size_t at, const HappensBefore& before);

  const Partition& p_;
  bool clips_;
  std::vector<Finding>& findings_;
  std::vector<int> segment_of_;      ///< by value; -1 where there is none
  std::vector<Gradient> gradients_;  ///< by segment
  std::vector<Sums> sums_;           ///< by bucket
  std::int32_t totals_ = -1, totals_sum_ = -1, update_ = -1;
};

}  // namespace dml
