// Whether the gradients of one rank are summed over everything they are a sum of, exactly once, before they are used.
#pragma once

#include <cstddef>
#include <vector>

#include "parallel/partition.h"
#include "parallel/verify/finding.h"
#include "parallel/verify/happens_before.h"

namespace dml {

/// Follows the flat gradient buffers of a rank through its tasks: addends go in, sums over those who share them take
/// ranges of them, totals and update read them. Replicas that share their states (ZeRO) scatter the sums, for every
/// microbatch if they share gradients too, and each updates its part. See verify_rank for what is demanded.
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
  /// The task of the update, or -1 where none was taken.
  std::int32_t update() const { return update_; }

 private:
  /// A parameter's gradient.
  struct Gradient {
    int bucket = -1;
    std::size_t expected = 0;        ///< addends of this rank in a microbatch
    std::vector<std::size_t> added;  ///< by microbatch
    std::vector<std::int32_t> last;  ///< by microbatch: the task that added last, or -1
  };
  /// The sums of a bucket: the tasks, or -1.
  struct Sums {
    bool shared = false;  ///< other positions, or the ranks of the tensor axis, have a part in it
    std::int32_t positions = -1;
    std::vector<std::int32_t> replicas;  ///< by round: the gradients of a microbatch, or of all in one
    std::size_t round(int microbatch) const { return replicas.size() > 1 ? static_cast<std::size_t>(microbatch) : 0; }
  };

  const Task& task(std::size_t at) const { return p_.tasks.tasks[at]; }
  void report(std::size_t at, std::string what) { findings_.push_back(finding_at(p_.tasks, at, std::move(what))); }
  void report_value(ValueId value, std::string what);

  void read_layout();
  void read_bucket(int bucket);
  void check_readers();
  void check_addends(ValueId parameter, ValueId gradient);

  void sum(std::size_t at, const HappensBefore& before);
  void check_sum(std::size_t at, int bucket);
  void end_step(std::size_t at, const HappensBefore& before);
  /// True if all addends of this rank are in that a round sums, and nothing adds while `before`'s task runs.
  bool is_added(int bucket, std::size_t round, const HappensBefore& before) const;
  bool has_replicas() const { return p_.mesh.d() > 1; }
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
