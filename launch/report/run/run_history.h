// What a run's page draws over its steps: few points however long the run is. Neighbouring steps are averaged, more of
// them as the run goes on.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/records.h"

namespace dml {

/// Rows of numbers of equal width, at most `most` (even, at least 2): each is the mean of as many given ones as it
/// takes, the last may be of fewer.
class MeanRows {
 public:
  explicit MeanRows(std::size_t most) : most_(most) {}
  void add(std::span<const double> row);
  std::size_t size() const { return sums_.size(); }
  /// Given rows that a row is the mean of.
  std::size_t rows_per_mean() const { return per_mean_; }
  /// The numbers of a column.
  std::vector<double> column(std::size_t column) const;

 private:
  std::size_t count(std::size_t row) const { return row + 1 == sums_.size() ? count_in_last_ : per_mean_; }
  void merge_neighbours();

  std::size_t most_;
  std::size_t per_mean_ = 1;
  std::size_t count_in_last_ = 0;
  std::vector<std::vector<double>> sums_;
};

class RunHistory {
 public:
  /// Of a run of so many ranks.
  explicit RunHistory(std::size_t num_ranks);
  void add(const StepRecord& record, std::span<const RankStep> ranks);
  /// JSON: `counts`, what `rate` is per second of; `steps`, an object of columns; `validation` and `accuracy` with
  /// their own steps; `use` with the steps and, by rank, columns of `memory_mib` and `cpu_percent`. Times are
  /// milliseconds, steps count from 1.
  std::string json() const;

 private:
  MeanRows steps_, use_, validation_, accuracy_;
  std::size_t num_ranks_;
  bool counts_tokens_ = false;
};

}  // namespace dml
