#include "parallel/memory/step_sequence.h"

#include <algorithm>
#include <set>

#include "kernels/error.h"
#include "models/index.h"
#include "models/op.h"

namespace dml {
namespace {

bool is_sum(const Node& node) { return node.op->name == "AllReduce"; }

bool is_communication(const Task& task) { return task.queue != QueueId::compute; }

}  // namespace

SequenceInputs inputs_of(const Partition& partition, const RankTasks& tasks) {
  return {tasks,
          *partition.map,
          partition.layout,
          partition.by_microbatch,
          partition.stages,
          partition.own_stages,
          partition.orders,
          partition.keeps_output};
}

StepSequence::StepSequence(const SequenceInputs& inputs)
    : in_(inputs),
      in_place_(index(graph().num_nodes()), false),
      readers_(index(graph().num_values()), 0),
      sums_(inputs.layout.segments.size()),
      waits_(inputs.tasks.tasks.size(), -1) {
  find_roots();
  find_in_place_sums();
  find_gradient_sums();
  find_places();
  write();
}

bool StepSequence::runs_here(NodeId node) const {
  return node != kNone && in_.map.lives(node) &&
         std::find(in_.own_stages.begin(), in_.own_stages.end(), in_.stages[index(node)]) != in_.own_stages.end();
}

void StepSequence::find_roots() {
  const Graph& g = graph();
  roots_.resize(index(g.num_values()));
  for (ValueId id = 0; id < g.num_values(); ++id) roots_[index(id)] = id;
  for (NodeId id = 0; id < g.num_nodes(); ++id) {
    const Node& node = g.node(id);
    if (!runs_here(id)) continue;
    if (node.op->is_alias || in_place_[index(id)]) roots_[index(node.outputs[0])] = root(node.inputs[0]);
  }
}

void StepSequence::find_in_place_sums() {
  const Graph& g = graph();
  for (NodeId id = 0; id < g.num_nodes(); ++id) {
    if (!runs_here(id) || g.node(id).op->is_alias) continue;
    for (const ValueId input : g.node(id).inputs) {
      if (input != kNone) ++readers_[index(root(input))];
    }
  }
  for (const int stage : in_.own_stages) {
    for (const ValueId sent : in_.map.down(stage)) ++readers_[index(root(sent))];
    for (const ValueId sent : in_.map.up(stage)) ++readers_[index(root(sent))];
  }
  for (NodeId id = 0; id < g.num_nodes(); ++id) {
    const Node& node = g.node(id);
    if (!runs_here(id) || !is_sum(node)) continue;
    const ValueId moved = root(node.inputs[0]);
    in_place_[index(id)] = readers_[index(moved)] == 1 && runs_here(g.value(moved).producer);
  }
  find_roots();
}

void StepSequence::find_gradient_sums() {
  const Graph& g = graph();
  for (std::size_t i = 0; i < sums_.size(); ++i) {
    std::set<int> stages;
    for (const ValueId addend : in_.map.addends(in_.layout.segments[i].value)) {
      const NodeId producer = g.value(addend).producer;
      if (!runs_here(producer)) continue;
      stages.insert(in_.stages[index(producer)]);
      sums_[i].open += static_cast<int>(in_.graphs.size());
    }
    sums_[i].stages.assign(stages.begin(), stages.end());
    sums_[i].begun.resize(stages.size(), false);
  }
}

void StepSequence::write() {
  const auto num_tasks = static_cast<std::int32_t>(in_.tasks.tasks.size());
  for (std::int32_t id = 0; id < num_tasks; ++id) {
    const Task& t = task(id);
    for (const std::int32_t dep : in_.tasks.deps_of(t)) {
      if (!is_communication(task(dep))) continue;
      wait_for(dep);
      wait_for_answered_sends(task(dep));
    }
    if (t.node != kNone) {
      append_node(id);
    } else {
      slots_.push_back({is_communication(t) ? SlotKind::post : SlotKind::launch, id});
    }
    if (t.kind == TaskKind::send) open_sends_.push_back(id);
  }
  for (std::int32_t id = 0; id < num_tasks; ++id) {
    if (is_communication(task(id))) wait_for(id);
  }
}

void StepSequence::wait_for(std::int32_t id) {
  if (waits_[index(id)] >= 0) return;
  waits_[index(id)] = static_cast<std::int32_t>(slots_.size());
  slots_.push_back({SlotKind::wait, id});
}

/// Where a pass stands in the order of its position: of forward passes, or of those that make input gradients.
std::int32_t& StepSequence::place_of(Phase phase, int stage, int microbatch) {
  const std::size_t kind = phase == Phase::forward ? 0 : 1;
  return places_[(index(stage) * 2 + kind) * in_.graphs.size() + index(microbatch)];
}

void StepSequence::find_places() {
  int num_stages = 0;
  for (const Order& order : in_.orders)
    for (const Action& action : order) num_stages = std::max(num_stages, action.stage + 1);
  places_.assign(index(num_stages) * 2 * in_.graphs.size(), -1);
  for (const Order& order : in_.orders) {
    for (std::size_t at = 0; at < order.size(); ++at) {
      const Action& action = order[at];
      if (action.phase == Phase::forward || action.phase == Phase::input_grad)
        place_of(action.phase, action.stage, action.microbatch) = static_cast<std::int32_t>(at);
    }
  }
}

/// A sent buffer is kept until something is received from the same peer that comes from the pass that read it, or from
/// a later one: then the peer has asked for it. To wait for what a peer may not have asked for yet could be to wait for
/// ever, as it may itself be waiting for this rank. What is never answered is waited for when the step ends.
void StepSequence::wait_for_answered_sends(const Task& received) {
  if (received.kind != TaskKind::receive) return;
  const auto stage_beyond = [](const Task& t, bool is_sent) {
    return t.id.stage + ((t.id.phase == Phase::forward) == is_sent ? 1 : -1);
  };
  const std::int32_t made = place_of(received.id.phase, stage_beyond(received, false), received.id.microbatch);
  std::erase_if(open_sends_, [&](std::int32_t id) {
    const Task& send = task(id);
    if (send.peer != received.peer) return false;
    const std::int32_t read = place_of(send.id.phase, stage_beyond(send, true), send.id.microbatch);
    const bool is_answered = read >= 0 && read <= made;
    if (is_answered) wait_for(id);
    return is_answered;
  });
}

bool StepSequence::writes_gradient(ValueId value) const {
  const Graph& g = graph();
  const Node& producer = g.node(g.value(value).producer);
  const bool accumulates = producer.op->name == "MatMul" || producer.op->name == "LinearParamGrad";
  return accumulates && value == producer.outputs[0] && in_.map.addend_of(value) != kNone && root(value) == value &&
         readers_[index(value)] == 0;
}

void StepSequence::append_addend(std::int32_t id, SlotPart part, ValueId addend) {
  GradientSum& sum = sums_[index(in_.layout.find(in_.map.addend_of(addend)))];
  const int stage = in_.stages[index(graph().value(addend).producer)];
  const auto found = std::find(sum.stages.begin(), sum.stages.end(), stage);
  DML_ASSERT(found != sum.stages.end(), graph().value(addend).name);
  const auto place = static_cast<std::size_t>(found - sum.stages.begin());
  slots_.push_back({SlotKind::launch, id, part, !sum.begun[place], addend});
  sum.begun[place] = true;
  if (--sum.open == 0 && sum.stages.size() > 1)
    slots_.push_back({SlotKind::launch, id, SlotPart::join_gradient, false, addend});
}

void StepSequence::append_node(std::int32_t id) {
  const Task& t = task(id);
  const Node& node = graph().node(t.node);
  if (is_communication(t)) {
    if (is_sum(node) && !in_place_[index(t.node)]) slots_.push_back({SlotKind::launch, id, SlotPart::copy});
    slots_.push_back({SlotKind::post, id});
  } else if (writes_gradient(node.outputs[0])) {
    append_addend(id, SlotPart::main, node.outputs[0]);
  } else if (!node.op->is_alias) {
    slots_.push_back({SlotKind::launch, id});
  }
  for (const ValueId output : node.outputs) {
    if (in_.map.addend_of(output) == kNone || writes_gradient(output)) continue;
    if (is_communication(t)) wait_for(id);
    append_addend(id, SlotPart::add_gradient, output);
  }
}

}  // namespace dml
