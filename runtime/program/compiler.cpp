#include "runtime/program/compiler.h"

#include <algorithm>
#include <set>

#include "kernels/error.h"
#include "models/index.h"
#include "models/op.h"

namespace dml {
namespace {

bool is_sum(const Node& node) { return node.op->name == "AllReduce"; }

}  // namespace

Program::Program(const ProgramInputs& inputs) { Compiler(inputs, *this).compile(); }

TensorView Program::view(ValueId value, int microbatch) const {
  const auto found = kept_.find({value, microbatch});
  return found == kept_.end() ? TensorView{} : found->second;
}

Compiler::Compiler(const ProgramInputs& inputs, Program& program)
    : in_(inputs),
      program_(program),
      in_place_(index(graph(0).num_nodes()), false),
      readers_(index(graph(0).num_values()), 0),
      gradient_sums_(inputs.layout.segments.size()),
      waited_(inputs.tasks.tasks.size(), -1),
      places_(index(graph(0).num_values()) * inputs.graphs.size()) {}

void Compiler::compile() {
  find_roots();
  find_in_place_sums();
  find_gradient_sums();
  write_sequence();
  place_fixed();
  place_activations();
  load_constants();
  bind();
}

bool Compiler::runs_here(NodeId node) const {
  return node != kNone && in_.map.lives(node) &&
         std::find(in_.own_stages.begin(), in_.own_stages.end(), in_.stages[index(node)]) != in_.own_stages.end();
}

void Compiler::find_roots() {
  const Graph& g = graph(0);
  roots_.resize(index(g.num_values()));
  for (ValueId id = 0; id < g.num_values(); ++id) roots_[index(id)] = id;
  for (NodeId id = 0; id < g.num_nodes(); ++id) {
    const Node& node = g.node(id);
    if (!runs_here(id)) continue;
    if (node.op->is_alias || in_place_[index(id)]) roots_[index(node.outputs[0])] = root(node.inputs[0]);
  }
}

void Compiler::find_in_place_sums() {
  const Graph& g = graph(0);
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

void Compiler::write_sequence() {
  for (std::int32_t id = 0; id < static_cast<std::int32_t>(in_.tasks.tasks.size()); ++id) {
    const Task& t = task(id);
    for (const std::int32_t dep : in_.tasks.deps_of(t)) {
      if (is_communication(task(dep))) wait_for(dep);
    }
    if (t.kind == TaskKind::send) wait_for_old_sends(t);
    if (t.node != kNone) {
      append_node(id);
    } else {
      sequence_.push_back({is_communication(t) ? Instruction::Kind::post : Instruction::Kind::launch, id});
    }
    if (t.kind == TaskKind::send) open_sends_.push_back(id);
  }
  for (std::int32_t id = 0; id < static_cast<std::int32_t>(in_.tasks.tasks.size()); ++id) {
    if (is_communication(task(id))) wait_for(id);
  }
}

void Compiler::wait_for(std::int32_t id) {
  if (waited_[index(id)] >= 0) return;
  waited_[index(id)] = static_cast<std::int32_t>(sequence_.size());
  sequence_.push_back({Instruction::Kind::wait, id});
}

/// A sent buffer is kept until the next but one pass sends in the same direction: by then the peer has asked for it.
void Compiler::wait_for_old_sends(const Task& next) {
  const auto same_direction = [&](std::int32_t id) { return task(id).id.phase == next.id.phase; };
  int passes = 0;
  std::int32_t last_microbatch = next.id.microbatch;
  for (auto send = open_sends_.rbegin(); send != open_sends_.rend(); ++send) {
    if (!same_direction(*send)) continue;
    if (task(*send).id.microbatch != last_microbatch) ++passes;
    last_microbatch = task(*send).id.microbatch;
    if (passes >= 2) wait_for(*send);
  }
  std::erase_if(open_sends_, [&](std::int32_t id) { return waited_[index(id)] >= 0; });
}

bool Compiler::writes_gradient(ValueId value) const {
  const Graph& g = graph(0);
  const NodeId producer = g.value(value).producer;
  return in_.map.addend_of(value) != kNone && g.node(producer).op->name == "MatMul" && root(value) == value &&
         readers_[index(value)] == 0;
}

void Compiler::find_gradient_sums() {
  const Graph& g = graph(0);
  for (std::size_t i = 0; i < gradient_sums_.size(); ++i) {
    std::set<int> stages;
    for (const ValueId addend : in_.map.addends(in_.layout.segments[i].value)) {
      const NodeId producer = g.value(addend).producer;
      if (!runs_here(producer)) continue;
      stages.insert(in_.stages[index(producer)]);
      gradient_sums_[i].open += static_cast<int>(in_.graphs.size());
    }
    for (const int stage : stages) gradient_sums_[i].stages.push_back({stage});
  }
}

Compiler::StageSum& Compiler::stage_sum(ValueId addend) {
  auto& stages = gradient_sums_[index(in_.layout.find(in_.map.addend_of(addend)))].stages;
  const int stage = in_.stages[index(graph(0).value(addend).producer)];
  const auto found =
      std::find_if(stages.begin(), stages.end(), [&](const StageSum& sum) { return sum.stage == stage; });
  DML_ASSERT(found != stages.end(), graph(0).value(addend).name);
  return *found;
}

void Compiler::append_addend(std::int32_t id, Part part, ValueId addend) {
  StageSum& sum = stage_sum(addend);
  sequence_.push_back({Instruction::Kind::launch, id, part, !sum.begun, addend});
  sum.begun = true;
  GradientSum& gradient = gradient_sums_[index(in_.layout.find(in_.map.addend_of(addend)))];
  if (--gradient.open == 0 && gradient.stages.size() > 1)
    sequence_.push_back({Instruction::Kind::launch, id, Part::join_gradient, false, addend});
}

void Compiler::append_node(std::int32_t id) {
  const Task& t = task(id);
  const Node& node = node_of(t);
  if (is_communication(t)) {
    if (is_sum(node) && !in_place_[index(t.node)]) sequence_.push_back({Instruction::Kind::launch, id, Part::copy});
    sequence_.push_back({Instruction::Kind::post, id});
  } else if (writes_gradient(node.outputs[0])) {
    append_addend(id, Part::main, node.outputs[0]);
    return;
  } else if (!node.op->is_alias) {
    sequence_.push_back({Instruction::Kind::launch, id});
  }
  for (const ValueId output : node.outputs) {
    if (in_.map.addend_of(output) == kNone) continue;
    if (is_communication(t)) wait_for(id);
    append_addend(id, Part::add_gradient, output);
  }
}

Communicator* Compiler::group_of(const Task& t) const {
  if (t.kind == TaskKind::send || t.kind == TaskKind::receive) {
    return in_.groups.channels.empty() ? in_.groups.devices : in_.groups.channels.at(t.channel).get();
  }
  if (t.axis == Axis::world) return in_.groups.devices;
  if (t.queue == QueueId::tensor_comm) return in_.groups.tensor.get();
  if (t.axis == Axis::data) return in_.groups.data.get();
  for (const Bucket& bucket : in_.layout.buckets) {
    if (bucket.begin == t.begin) return in_.groups.tied.at(bucket.tied_stages).get();
  }
  throw InternalError("no group for " + t.id.to_string());
}

}  // namespace dml
