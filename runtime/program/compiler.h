// Compiles the tasks of a rank into a Program: the sequence of launches, posts and waits, with kernels and
// communicators on the planned places of their buffers.
#pragma once

#include "parallel/memory/step_memory.h"
#include "runtime/program/program.h"

namespace dml {

class Compiler {
 public:
  Compiler(const ProgramInputs& inputs, Program& program);
  void compile();

 private:
  const Graph& graph(int microbatch) const { return in_.graphs[static_cast<std::size_t>(microbatch)]->graph; }
  const Task& task(std::int32_t id) const { return in_.tasks.tasks[static_cast<std::size_t>(id)]; }

  // Memory.
  void allocate();
  TensorView view(ValueId value, int microbatch);
  void load_constants();

  // Instructions.
  void bind();
  Instruction bind_slot(const Slot& slot);
  Kernel bind_node(const Task& task, const Slot& slot);
  Kernel bind_add_gradient(const Task& task, const Slot& slot);
  Kernel bind_join_gradient(const Slot& slot);
  Instruction bind_post(std::int32_t id);
  int parts_of_gathered_product(std::size_t slot);
  void bind_gathered_product(std::size_t slot, int parts);
  std::vector<Kernel> bind_product_parts(const Task& task, std::int64_t count, int parts);
  std::function<Ticket()> post_of(const Task& task, Communicator& group);
  Communicator* group_of(const Task& task) const;
  void reserve_communication();

  const Segment& segment_of(ValueId addend) const;
  float* sum_of(ValueId addend);

  const ProgramInputs& in_;
  Program& program_;
  StepSequence sequence_;
  StepMemory memory_;
};

}  // namespace dml
