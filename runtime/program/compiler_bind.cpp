// The third part of the Compiler: instructions with kernels and posts on their planned places.
#include <algorithm>
#include <map>

#include "kernels/error.h"
#include "models/op.h"
#include "runtime/program/compiler.h"
#include "runtime/program/faults.h"

namespace dml {

void Compiler::bind() {
  reserve_communication();
  program_.instructions_.reserve(sequence_.slots().size());
  const std::span<const Slot> slots = sequence_.slots();
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (const int parts = parts_of_gathered_product(i); parts > 1) {
      bind_gathered_product(i++, parts);
    } else {
      program_.instructions_.push_back(bind_slot(slots[i]));
    }
  }
  plant_fault(program_.instructions_, in_, [this](ValueId value, int microbatch) { return view(value, microbatch); });
}

/// Operations may be in flight from their post to their wait: makes ready for as many of each size as that can be.
void Compiler::reserve_communication() {
  struct Flight {
    int now = 0, most = 0;
  };
  std::map<Communicator*, Flight> others;
  std::map<std::pair<Communicator*, std::int64_t>, Flight> sums;
  for (const Slot& slot : sequence_.slots()) {
    if (slot.kind == Instruction::Kind::launch) continue;
    const Task& t = task(slot.task);
    Communicator* group = group_of(t);
    Flight& flight = t.kind == TaskKind::all_reduce ? sums[{group, in_.tasks.work_of(t).bytes}] : others[group];
    flight.now += slot.kind == Instruction::Kind::post ? 1 : -1;
    flight.most = std::max(flight.most, flight.now);
  }
  for (const auto& [group, flight] : others) group->reserve(flight.most, 0);
  for (const auto& [group_and_bytes, flight] : sums) {
    group_and_bytes.first->reserve_all_reduces(flight.most, group_and_bytes.second);
  }
}

Instruction Compiler::bind_slot(const Slot& slot) {
  const Task& t = task(slot.task);
  if (slot.kind == Instruction::Kind::wait) return {slot.kind, slot.task, {}, {}, group_of(t)};
  if (slot.kind == Instruction::Kind::post) return bind_post(slot.task);
  Instruction launch{slot.kind, slot.task, {}, {}, nullptr};
  if (t.node == kNone) {
    launch.run = t.kind == TaskKind::update ? in_.end.update : in_.end.gather_totals;
  } else if (slot.part == SlotPart::add_gradient) {
    launch.run = bind_add_gradient(t, slot);
  } else if (slot.part == SlotPart::join_gradient) {
    launch.run = bind_join_gradient(slot);
  } else {
    launch.run = bind_node(t, slot);
  }
  return launch;
}

Kernel Compiler::bind_node(const Task& t, const Slot& slot) {
  const int m = t.id.microbatch;
  Node node = graph(t.id.microbatch).node(t.node);
  if (slot.part == SlotPart::copy) {
    const TensorView to = view(node.outputs[0], m);
    const TensorView from = view(node.inputs[0], m);
    return [&device = in_.device, to, from] { device.copy(to.data, from.data, to.num_bytes()); };
  }
  std::vector<TensorView> inputs, outputs;
  for (const ValueId input : node.inputs) inputs.push_back(view(input, m));
  for (const ValueId output : node.outputs) outputs.push_back(view(output, m));
  if (sequence_.writes_gradient(node.outputs[0]) && !slot.first_addend) node.attrs.set("accumulate", std::int64_t{1});
  return in_.device.bind(graph(m), node, inputs, outputs, in_.contexts[static_cast<std::size_t>(m)]);
}

const Segment& Compiler::segment_of(ValueId addend) const {
  return in_.layout.segments[static_cast<std::size_t>(in_.layout.find(in_.map.addend_of(addend)))];
}

float* Compiler::sum_of(ValueId addend) {
  const BufferPlace sum = memory_.place_of_sum(addend);
  return sum.kind == BufferPlace::Kind::gradient ? in_.buffers.gradients + sum.offset
                                                 : reinterpret_cast<float*>(program_.fixed_.data() + sum.offset);
}

Kernel Compiler::bind_join_gradient(const Slot& slot) {
  const Segment& segment = segment_of(slot.addend);
  std::vector<const float*> later;
  for (const std::int64_t sum : memory_.later_sums(in_.layout.find(segment.value)))
    later.push_back(reinterpret_cast<const float*>(program_.fixed_.data() + sum));
  return [&device = in_.device, sum = in_.buffers.gradients + segment.begin, later = std::move(later),
          count = segment.count] {
    for (const float* addend : later) device.add(sum, addend, count);
  };
}

Kernel Compiler::bind_add_gradient(const Task& t, const Slot& slot) {
  float* sum = sum_of(slot.addend);
  const float* addend = view(slot.addend, t.id.microbatch).f32();
  const std::int64_t count = segment_of(slot.addend).count;
  if (slot.first_addend) {
    return [&device = in_.device, sum, addend, count] {
      device.copy(sum, addend, static_cast<std::size_t>(count) * sizeof(float));
    };
  }
  return [&device = in_.device, sum, addend, count] { device.add(sum, addend, count); };
}

Instruction Compiler::bind_post(std::int32_t id) {
  const Task& t = task(id);
  Communicator* group = group_of(t);
  return {Instruction::Kind::post, id, {}, post_of(t, *group), group};
}

std::function<Ticket()> Compiler::post_of(const Task& t, Communicator& group) {
  const int m = t.id.microbatch;
  if (t.kind == TaskKind::send || t.kind == TaskKind::receive) {
    const TensorView moved = view(t.value, m);
    // A channel with a group of its own holds the sender as rank 0 and the receiver as rank 1.
    const int peer = &group == in_.groups.devices ? t.peer : 1 - group.rank();
    const int channel = t.channel;
    if (t.kind == TaskKind::send) return [&group, moved, peer, channel] { return group.send(moved, peer, channel); };
    return [&group, moved, peer, channel] { return group.receive(moved, peer, channel); };
  }
  if (t.axis == Axis::world) return in_.end.post_totals;
  if (t.node == kNone) {
    const Work& work = in_.tasks.work_of(t);
    const TensorView range{in_.buffers.gradients + work.begin, DataType::f32, Shape{work.count}};
    return [&group, range] { return group.all_reduce(range); };
  }
  const Node& node = graph(t.id.microbatch).node(t.node);
  const TensorView out = view(node.outputs[0], m);
  if (t.kind == TaskKind::all_reduce) return [&group, out] { return group.all_reduce(out); };
  const TensorView in = view(node.inputs[0], m);
  const auto counts = node.attrs.integers("counts");
  return [&group, out, in, parts = std::vector<std::int64_t>(counts.begin(), counts.end())] {
    return group.all_gather(out, in, parts);
  };
}

}  // namespace dml
