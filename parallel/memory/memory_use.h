// What a rank holds while a step runs: what stays for the whole run, and the activations that live from time to time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "parallel/memory/step_memory.h"
#include "parallel/techniques/techniques.h"
#include "parallel/timeline.h"

namespace dml {

/// The most bytes that are alive in the arena in each of `num_parts` equal parts of `seconds`. A buffer counts from the
/// slot that first touches it until the one behind the last: kernels of the same task count at its end. `spans` are
/// those of the rank's tasks, by index.
std::vector<std::int64_t> live_bytes(const StepSequence& sequence, const StepMemory& memory,
                                     std::span<const Span> spans, double seconds, int num_parts);

/// Bytes of a rank.
struct RankMemory {
  WeightBytes weights;                    ///< with what ZeRO has whole for a while
  std::int64_t fixed = 0;                 ///< inputs, labels, constants and states
  std::int64_t arena = 0;                 ///< of activations, as they are laid out: holes included
  std::vector<std::int64_t> activations;  ///< the most that live, by part of the step
  /// What the run sets aside.
  double planned() const { return weights.total() + static_cast<double>(fixed + arena); }
};

/// How ranks keep their weights.
struct WeightKeeping {
  Techniques techniques = {};
  int replicas = 1;
  int states = 0;  ///< f32 values that the optimizer keeps for each weight
};

/// Of a step in which the partition's `tasks` ran at `spans`.
RankMemory memory_of(const Partition& partition, const RankTasks& tasks, const WeightKeeping& keeping,
                     std::span<const Span> spans, double seconds, int num_parts);

}  // namespace dml
