// The layouts that a world can have: what the search for the best one goes through.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "parallel/pipeline/schedule.h"
#include "parallel/techniques/techniques.h"
#include "parallel/tensor/split.h"

namespace dml {

/// Everything that a layout decides beside the model's own options.
struct LayoutChoice {
  int d = 1, p = 1, t = 1;
  const ScheduleDef* schedule = nullptr;
  int chunks = 1;  ///< stages per pipeline position
  int microbatches = 1;
  SplitMode mode = SplitMode::megatron;  ///< of no matter where t is 1
  Techniques techniques = {};

  int num_stages() const { return p * chunks; }
  Placement placement() const { return {p, chunks, schedule->placement}; }
  bool operator==(const LayoutChoice&) const = default;
};

/// Both ends included.
struct IntegerRange {
  int least = 1;
  int most = std::numeric_limits<int>::max();
  bool contains(int number) const { return least <= number && number <= most; }
};

struct SearchSpace {
  int world = 1;
  std::int64_t batch = 1;  ///< samples of the global batch
  IntegerRange d, p, t, microbatches;
  int most_chunks = 4;  ///< of schedules that take any number
  std::vector<const ScheduleDef*> schedules;
  std::vector<SplitMode> modes = {SplitMode::megatron, SplitMode::gather};
  /// The first ones are tried first, the others where memory lacks with all before them.
  std::vector<Techniques> techniques = {Techniques{}};
};

/// The microbatches tried for a replica's part of the batch: every number that divides the largest part, and p, 2p, 4p
/// where there are as many samples. Ascending; 1 where there are fewer samples than replicas.
std::vector<int> microbatch_numbers(std::int64_t batch, int d, int p);

/// All layouts with d·p·t = world and the first techniques, those of the same t and tensor mode together. A pipeline of
/// one position has one schedule, the first; chunks are for p > 1, from 2 up.
std::vector<LayoutChoice> all_layouts(const SearchSpace& space);

}  // namespace dml
