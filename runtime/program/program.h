// The tasks of a rank, compiled: a flat list of instructions on planned memory. The executor runs it once a step and
// knows nothing of parallelism.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "kernels/step_state.h"
#include "parallel/memory/step_sequence.h"
#include "runtime/comm/communicator.h"
#include "runtime/device/device.h"
#include "runtime/program/arena.h"

namespace dml {

/// A slot of the step's sequence, bound to buffers: launch puts a kernel on the device's queue; post hands an operation
/// to a communicator, behind all launches before it; wait lets launches behind it find that operation done.
struct Instruction {
  using Kind = SlotKind;
  Kind kind = Kind::launch;
  std::int32_t task = -1;
  Kernel run;                            ///< of launch
  std::function<Ticket()> post;          ///< of post
  Communicator* communicator = nullptr;  ///< of post and wait, and of a launch that begins what is posted behind it
  bool is_begun = false;                 ///< a post whose operation the launch before it has begun, and marked
};

/// The groups of a rank.
struct RankGroups {
  Communicator* world = nullptr;    ///< of hosts: what they agree on
  Communicator* devices = nullptr;  ///< of device memory; `world` itself where that is the host's
  std::unique_ptr<Communicator> data, tensor;
  std::map<std::vector<int>, std::unique_ptr<Communicator>> tied;  ///< by the stages that share a weight
  std::map<int, std::unique_ptr<Communicator>> channels;           ///< of sender and receiver, where devices need such
};

/// Flat buffers of a rank, in the order of its FlatLayout.
struct RankBuffers {
  float* parameters = nullptr;
  float* gradients = nullptr;
};

/// What the trainer runs at the end of a step, as the last tasks of the program.
struct StepEnd {
  Kernel gather_totals;                 ///< fills this rank's addends of loss and norm
  std::function<Ticket()> post_totals;  ///< sums them over the world
  Kernel update;
};

struct ProgramInputs : SequenceInputs {
  Device& device;
  std::span<const KernelContext> contexts;  ///< by microbatch; outlive the program
  TensorPlace place;
  RankGroups& groups;
  RankBuffers buffers;
  StepEnd end;
};

class Program {
 public:
  explicit Program(const ProgramInputs& inputs);

  std::span<const Instruction> instructions() const { return instructions_; }
  /// Where value `value` of microbatch `microbatch` lies: inputs and labels before a step, loss (and output, if kept)
  /// after it. Null data where this rank does not have it.
  TensorView view(ValueId value, int microbatch) const;
  /// Running statistics, by value; they stay between steps.
  const std::map<ValueId, TensorView>& states() const { return states_; }

  std::int64_t arena_bytes() const { return arena_.size(); }
  std::int64_t fixed_bytes() const { return fixed_.size(); }
  std::int64_t touched_bytes() const { return arena_.touched_bytes() + fixed_.touched_bytes(); }

 private:
  friend class Compiler;
  std::vector<Instruction> instructions_;
  std::map<std::pair<ValueId, int>, TensorView> kept_;  ///< inputs, labels, losses, outputs
  std::map<ValueId, TensorView> states_;
  Arena arena_;  ///< activations, by plan
  Arena fixed_;  ///< constants, inputs, states: for the whole run
};

}  // namespace dml
