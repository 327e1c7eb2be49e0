// Compiles the tasks of a rank into a Program: first the sequence of launches, posts and waits, then the lifetimes of
// all buffers in it, then the kernels on their planned places.
#pragma once

#include <deque>
#include <vector>

#include "runtime/program/program.h"

namespace dml {

class Compiler {
 public:
  Compiler(const ProgramInputs& inputs, Program& program);
  void compile();

 private:
  /// What a step of the sequence does for its task beside the obvious.
  enum class Part : std::uint8_t { main, copy, add_gradient, join_gradient };
  struct Slot {
    Instruction::Kind kind;
    std::int32_t task;
    Part part = Part::main;
    bool first_addend = false;  ///< of add_gradient, and of a product that writes a gradient: nothing is there yet
    ValueId addend = kNone;     ///< of add_gradient and join_gradient
  };
  /// What the addends of one stage are summed in.
  struct StageSum {
    int stage = 0;
    bool begun = false;
    std::int64_t fixed = -1;  ///< bytes in the fixed arena; -1: the gradient itself
  };
  /// The gradient of a segment. Addends of several stages of this rank are summed stage by stage, and then together in
  /// the order of stages: the same bits as where each stage is on a rank of its own.
  struct GradientSum {
    std::vector<StageSum> stages;
    int open = 0;  ///< addends that are still to come
  };
  /// Where a buffer lies.
  struct Place {
    enum class Kind : std::uint8_t { nowhere, arena, fixed, parameter, gradient };
    Kind kind = Kind::nowhere;
    std::int64_t offset = 0;  ///< bytes in an arena, elements in a flat buffer
    std::int32_t lifetime = -1;
  };

  const Graph& graph(int microbatch) const { return in_.graphs[static_cast<std::size_t>(microbatch)]->graph; }
  const Task& task(std::int32_t id) const { return in_.tasks.tasks[static_cast<std::size_t>(id)]; }
  const Node& node_of(const Task& task) const { return graph(task.id.microbatch).node(task.node); }
  bool runs_here(NodeId node) const;
  static bool is_communication(const Task& task) { return task.queue != QueueId::compute; }

  // Aliases: which value's memory a value shares.
  void find_roots();
  void find_in_place_sums();
  ValueId root(ValueId value) const { return roots_[static_cast<std::size_t>(value)]; }

  // The sequence.
  void write_sequence();
  void wait_for(std::int32_t task);
  void wait_for_old_sends(const Task& next);
  void append_node(std::int32_t id);
  bool writes_gradient(ValueId value) const;
  void find_gradient_sums();
  void append_addend(std::int32_t id, Part part, ValueId addend);
  StageSum& stage_sum(ValueId addend);
  const Segment& segment_of(ValueId addend) const;
  float* sum_of(ValueId addend);

  // Memory.
  void place_fixed();
  void place_constants(int microbatch);
  std::int64_t reserve_fixed(std::int64_t bytes);
  void place_activations();
  void touch(ValueId value, int microbatch, std::int32_t position);
  void touch_slot(std::int32_t position);
  Place& place(ValueId root, int microbatch);
  TensorView view(ValueId value, int microbatch);
  void load_constants();

  // Instructions.
  void bind();
  Instruction bind_slot(const Slot& slot);
  Kernel bind_node(const Task& task, const Slot& slot);
  Kernel bind_add_gradient(const Task& task, const Slot& slot);
  Kernel bind_join_gradient(const Slot& slot);
  Instruction bind_post(std::int32_t id);
  std::function<Ticket()> post_of(const Task& task, Communicator& group);
  Communicator* group_of(const Task& task) const;
  void reserve_communication();

  const ProgramInputs& in_;
  Program& program_;
  std::vector<ValueId> roots_;
  std::vector<bool> in_place_;              ///< by node: an AllReduce on its input's memory
  std::vector<int> readers_;                ///< by root: launches and sends that read it, aliases left out
  std::vector<GradientSum> gradient_sums_;  ///< by segment
  std::vector<Slot> sequence_;
  std::vector<std::int32_t> waited_;  ///< by task: position of its wait, -1 before
  std::deque<std::int32_t> open_sends_;
  std::vector<Place> places_;  ///< by (microbatch, root)
  std::vector<Lifetime> lifetimes_;
  std::int64_t fixed_bytes_ = 0;
};

}  // namespace dml
