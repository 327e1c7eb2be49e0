// Where every buffer of a rank's step lies: its place is decided before the run, by lifetimes in the step's sequence.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "parallel/memory/memory_plan.h"
#include "parallel/memory/step_sequence.h"

namespace dml {

/// Activations lie in the arena, which is reused over the step. Inputs, labels, constants and states are fixed.
/// Parameters and gradients are flat buffers in the layout's order.
struct BufferPlace {
  enum class Kind : std::uint8_t { nowhere, arena, fixed, parameter, gradient };
  Kind kind = Kind::nowhere;
  std::int64_t offset = 0;     ///< bytes in an arena, elements in a flat buffer
  std::int32_t lifetime = -1;  ///< of one in the arena
};

class StepMemory {
 public:
  /// Keeps both.
  StepMemory(const SequenceInputs& inputs, const StepSequence& sequence);

  const BufferPlace& place(ValueId value, int microbatch) const;
  /// Of the sum that an addend goes to: the gradient, or where a later stage of this rank sums its own, in the fixed
  /// part.
  BufferPlace place_of_sum(ValueId addend) const;
  /// Of the later stages' sums of a segment, by summing stage but the first: offsets in the fixed part.
  std::span<const std::int64_t> later_sums(int segment) const { return later_sums_[static_cast<std::size_t>(segment)]; }
  /// Of the buffers in the arena; positions are those of the sequence, and one beyond its end.
  std::span<const Lifetime> lifetimes() const { return lifetimes_; }

  std::int64_t arena_bytes() const { return arena_bytes_; }
  std::int64_t fixed_bytes() const { return fixed_bytes_; }

 private:
  const Graph& graph(int microbatch) const { return in_.graphs[static_cast<std::size_t>(microbatch)]->graph; }
  int num_microbatches() const { return static_cast<int>(in_.graphs.size()); }
  BufferPlace& place_to_set(ValueId root, int microbatch);
  std::int64_t reserve_fixed(std::int64_t bytes);
  void place_fixed();
  void place_fixed_value(ValueId id);
  void place_sums();
  void touch(ValueId value, int microbatch, std::int32_t position);
  void touch_slot(std::int32_t position);
  void place_activations();

  SequenceInputs in_;
  const StepSequence& sequence_;
  std::vector<std::int32_t> numbers_;  ///< by root: its place among those that have a buffer on this rank, or -1
  std::vector<BufferPlace> places_;    ///< by (number, microbatch)
  std::vector<std::vector<std::int64_t>> later_sums_;  ///< by segment
  std::vector<Lifetime> lifetimes_;
  std::int64_t fixed_bytes_ = 0, arena_bytes_ = 0;
};

}  // namespace dml
