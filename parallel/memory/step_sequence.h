// What a rank does in a step, in order: launches, posts and waits of its tasks, and which values share a buffer. The
// runtime compiles it into a program; lifetimes of buffers (step_memory.h) are positions in it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "parallel/build_tasks.h"
#include "parallel/partition.h"

namespace dml {

/// What decides the sequence. All graphs have the same nodes and values, and differ in extents alone.
struct SequenceInputs {
  const RankTasks& tasks;
  const StageMap& map;
  const FlatLayout& layout;
  std::span<const SplitGraph* const> graphs;  ///< by microbatch
  std::span<const int> stages;                ///< by node
  std::span<const int> own_stages;
  std::span<const Order> orders;  ///< by pipeline position
  bool keeps_output = false;      ///< the model's output stays readable until the end of the step
};

/// The step of a partition whose tasks are `tasks`; refers to both.
SequenceInputs inputs_of(const Partition& partition, const RankTasks& tasks);

/// Launch runs a kernel now, post hands an operation to a communicator, wait returns when that operation is done.
enum class SlotKind : std::uint8_t { launch, post, wait };

/// What a launch does for its task: its operation, the copy that a sum in place needs before it, or a gradient's sum.
enum class SlotPart : std::uint8_t { main, copy, add_gradient, join_gradient };

struct Slot {
  SlotKind kind = SlotKind::launch;
  std::int32_t task = -1;
  SlotPart part = SlotPart::main;
  bool first_addend = false;  ///< of add_gradient, and of a product that writes a gradient: nothing is there yet
  ValueId addend = kNone;     ///< of add_gradient and join_gradient
};

class StepSequence {
 public:
  /// Keeps what `inputs` refer to.
  explicit StepSequence(const SequenceInputs& inputs);

  std::span<const Slot> slots() const { return slots_; }
  /// Position of the wait for a task that communicates.
  std::int32_t wait_of(std::int32_t task) const { return waits_[static_cast<std::size_t>(task)]; }
  /// The value whose buffer a value has.
  ValueId root(ValueId value) const { return roots_[static_cast<std::size_t>(value)]; }
  bool runs_here(NodeId node) const;
  /// A product that is written to, or added to, its parameter's gradient: it has no buffer of its own.
  bool writes_gradient(ValueId value) const;
  /// The stages of this rank that compute addends of a segment's gradient, ascending. Each stage's addends are summed
  /// for themselves, and then together in this order: the same bits as where each stage is on a rank of its own.
  std::span<const int> summing_stages(int segment) const { return sums_[static_cast<std::size_t>(segment)].stages; }

 private:
  struct GradientSum {
    std::vector<int> stages;
    std::vector<bool> begun;  ///< by place in `stages`
    int open = 0;             ///< addends that are still to come
  };

  const Graph& graph() const { return in_.graphs.front()->graph; }
  const Task& task(std::int32_t id) const { return in_.tasks.tasks[static_cast<std::size_t>(id)]; }
  void find_roots();
  void find_in_place_sums();
  void find_gradient_sums();
  void find_places();
  std::int32_t& place_of(Phase phase, int stage, int microbatch);
  void write();
  void wait_for(std::int32_t task);
  void wait_for_answered_sends(const Task& received);
  void append_node(std::int32_t id);
  void append_addend(std::int32_t id, SlotPart part, ValueId addend);

  SequenceInputs in_;
  std::vector<ValueId> roots_;
  std::vector<bool> in_place_;     ///< by node: an AllReduce on its input's memory
  std::vector<int> readers_;       ///< by root: launches and sends that read it, aliases left out
  std::vector<GradientSum> sums_;  ///< by segment
  std::vector<Slot> slots_;
  std::vector<std::int32_t> waits_;  ///< by task; -1 before
  std::vector<std::int32_t> open_sends_;
  std::vector<std::int32_t> places_;  ///< of passes in the orders of their positions, see place_of; -1: there is none
};

}  // namespace dml
