// The second part of the Compiler: where every buffer lies.
#include <algorithm>

#include "kernels/error.h"
#include "models/index.h"
#include "models/op.h"
#include "runtime/program/compiler.h"

namespace dml {
namespace {

std::int64_t bytes_of(const Value& value) {
  return value.shape.num_elements() * static_cast<std::int64_t>(size_of(value.dtype));
}

void read_constant(const Value& value, void* to) {
  if (value.dtype == DataType::f32) {
    value.source->read_all_f32(static_cast<float*>(to));
    return;
  }
  std::vector<std::int64_t> elements(static_cast<std::size_t>(value.shape.num_elements()));
  value.source->read_i64(elements.data());
  if (value.dtype == DataType::i64) {
    std::copy(elements.begin(), elements.end(), static_cast<std::int64_t*>(to));
    return;
  }
  DML_ASSERT(size_of(value.dtype) == 1, value.name);
  std::transform(elements.begin(), elements.end(), static_cast<std::uint8_t*>(to),
                 [](std::int64_t element) { return static_cast<std::uint8_t>(element); });
}

bool is_fed(const Value& value) { return value.role == Role::input || value.role == Role::label; }

}  // namespace

Compiler::Place& Compiler::place(ValueId root, int microbatch) {
  return places_[index(microbatch) * index(graph(0).num_values()) + index(root)];
}

std::int64_t Compiler::reserve_fixed(std::int64_t bytes) {
  const std::int64_t offset = fixed_bytes_;
  fixed_bytes_ += (bytes + kBufferAlignment - 1) / kBufferAlignment * kBufferAlignment;
  return offset;
}

/// Inputs and labels by microbatch, constants by microbatch size, states once, weights in the flat buffer.
void Compiler::place_fixed() {
  const Graph& g = graph(0);
  std::vector<bool> read(index(g.num_values()), false);
  for (NodeId id = 0; id < g.num_nodes(); ++id) {
    if (!runs_here(id)) continue;
    for (const ValueId input : g.node(id).inputs) {
      if (input != kNone) read[index(input)] = true;
    }
  }
  for (ValueId id = 0; id < g.num_values(); ++id) {
    const Value& value = g.value(id);
    if (!read[index(id)] || value.role == Role::activation) continue;
    const int segment = value.role == Role::parameter ? in_.layout.find(id) : -1;
    const std::int64_t state = value.role == Role::state ? reserve_fixed(bytes_of(value)) : 0;
    for (int m = 0; m < static_cast<int>(in_.graphs.size()); ++m) {
      if (segment >= 0) {
        place(id, m) = {Place::Kind::parameter, in_.layout.segments[index(segment)].begin};
      } else if (value.role == Role::state) {
        place(id, m) = {Place::Kind::fixed, state};
      } else if (is_fed(value)) {
        place(id, m) = {Place::Kind::fixed, reserve_fixed(bytes_of(graph(m).value(id)))};
      } else {
        const auto same = std::find(in_.graphs.begin(), in_.graphs.begin() + m, in_.graphs[index(m)]);
        const int twin = static_cast<int>(same - in_.graphs.begin());
        place(id, m) =
            twin < m ? place(id, twin) : Place{Place::Kind::fixed, reserve_fixed(bytes_of(graph(m).value(id)))};
      }
    }
  }
  for (std::size_t i = 0; i < gradient_sums_.size(); ++i) {
    auto& stages = gradient_sums_[i].stages;
    for (std::size_t s = 1; s < stages.size(); ++s)
      stages[s].fixed = reserve_fixed(in_.layout.segments[i].count * static_cast<std::int64_t>(sizeof(float)));
  }
  // What a microbatch makes of a state is the state that the next one finds.
  for (const auto& [state, next] : g.next_state) {
    for (int m = 0; m < static_cast<int>(in_.graphs.size()); ++m) place(next, m) = place(state, m);
  }
}

void Compiler::touch(ValueId value, int microbatch, std::int32_t position) {
  if (value == kNone) return;
  Place& at = place(root(value), microbatch);
  if (at.kind != Place::Kind::nowhere && at.kind != Place::Kind::arena) return;
  if (at.kind == Place::Kind::nowhere) {
    at.kind = Place::Kind::arena;
    at.lifetime = static_cast<std::int32_t>(lifetimes_.size());
    lifetimes_.push_back({bytes_of(graph(microbatch).value(root(value))), position, position});
  }
  Lifetime& life = lifetimes_[index(at.lifetime)];
  life.first = std::min(life.first, position);
  life.last = std::max(life.last, position);
}

void Compiler::touch_slot(std::int32_t position) {
  const Slot& slot = sequence_[index(position)];
  if (slot.kind == Instruction::Kind::wait) return;
  const Task& t = task(slot.task);
  const int m = t.id.microbatch;
  const std::int32_t until = slot.kind == Instruction::Kind::post ? waited_[index(slot.task)] : position;
  const auto hold = [&](ValueId value) {
    touch(value, m, position);
    touch(value, m, until);
  };
  if (t.value != kNone) hold(t.value);
  if (t.node == kNone || slot.part == Part::join_gradient) return;
  const Node& node = node_of(t);
  for (const ValueId input : node.inputs) hold(input);
  for (const ValueId output : node.outputs) {
    if (writes_gradient(output)) {
      const int segment = in_.layout.find(in_.map.addend_of(output));
      const StageSum& sum = stage_sum(output);
      place(output, m) = sum.fixed < 0 ? Place{Place::Kind::gradient, in_.layout.segments[index(segment)].begin}
                                       : Place{Place::Kind::fixed, sum.fixed};
    }
    hold(output);
  }
}

void Compiler::place_activations() {
  const auto end = static_cast<std::int32_t>(sequence_.size());
  for (std::int32_t position = 0; position < end; ++position) touch_slot(position);
  const Graph& g = graph(0);
  for (int m = 0; m < static_cast<int>(in_.graphs.size()); ++m) {
    for (const ValueId kept : {g.loss, in_.keeps_output ? g.output : kNone}) {
      if (kept != kNone && place(root(kept), m).kind == Place::Kind::arena) touch(kept, m, end);
    }
  }
  const MemoryPlan plan = plan_memory(lifetimes_);
  for (Place& at : places_) {
    if (at.kind == Place::Kind::arena) at.offset = plan.offsets[index(at.lifetime)];
  }
  program_.arena_ = Arena(in_.device, plan.peak_bytes);
  program_.fixed_ = Arena(in_.device, fixed_bytes_);
  for (ValueId id = 0; id < g.num_values(); ++id) {
    const bool keeps = is_fed(g.value(id)) || id == g.loss || (in_.keeps_output && id == g.output);
    for (int m = 0; keeps && m < static_cast<int>(in_.graphs.size()); ++m) {
      if (place(root(id), m).kind != Place::Kind::nowhere) program_.kept_[{id, m}] = view(id, m);
    }
    const bool is_state = g.value(id).role == Role::state && place(id, 0).kind != Place::Kind::nowhere;
    if (is_state) program_.states_[id] = view(id, 0);
  }
}

TensorView Compiler::view(ValueId value, int microbatch) {
  if (value == kNone) return {};
  const Value& v = graph(microbatch).value(value);
  const Place& at = place(root(value), microbatch);
  TensorView result{nullptr, v.dtype, v.shape};
  switch (at.kind) {
    case Place::Kind::nowhere: throw InternalError("value '" + v.name + "' has no place on this rank");
    case Place::Kind::arena: result.data = program_.arena_.data() + at.offset; break;
    case Place::Kind::fixed: result.data = program_.fixed_.data() + at.offset; break;
    case Place::Kind::parameter: result.data = in_.buffers.parameters + at.offset; break;
    case Place::Kind::gradient: result.data = in_.buffers.gradients + at.offset; break;
  }
  return result;
}

void Compiler::load_constants() {
  for (int m = 0; m < static_cast<int>(in_.graphs.size()); ++m) {
    const bool seen =
        std::find(in_.graphs.begin(), in_.graphs.begin() + m, in_.graphs[index(m)]) != in_.graphs.begin() + m;
    for (ValueId id = 0; id < graph(m).num_values(); ++id) {
      const Value& value = graph(m).value(id);
      if (value.source == nullptr || place(id, m).kind != Place::Kind::fixed || is_fed(value)) continue;
      if (seen || (value.role == Role::state && m > 0)) continue;
      const TensorView to = view(id, m);
      in_.device.write(to.data, to.num_bytes(), [&](void* host) {
        if (value.role == Role::state) {
          read_shard(static_cast<float*>(host), *value.source, in_.graphs[index(m)]->shards[index(id)], in_.place);
        } else {
          read_constant(value, host);
        }
      });
    }
  }
}

}  // namespace dml
