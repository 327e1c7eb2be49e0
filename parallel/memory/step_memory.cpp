#include "parallel/memory/step_memory.h"

#include <algorithm>

#include "models/index.h"

namespace dml {
namespace {

bool is_fed(const Value& value) { return value.role == Role::input || value.role == Role::label; }

}  // namespace

StepMemory::StepMemory(const SequenceInputs& inputs, const StepSequence& sequence)
    : in_(inputs), sequence_(sequence), numbers_(index(graph(0).num_values()), -1) {
  place_fixed();
  place_activations();
}

const BufferPlace& StepMemory::place(ValueId value, int microbatch) const {
  static constexpr BufferPlace kNowhere;
  const std::int32_t number = numbers_[index(sequence_.root(value))];
  return number < 0 ? kNowhere : places_[index(number * num_microbatches() + microbatch)];
}

BufferPlace& StepMemory::place_to_set(ValueId root, int microbatch) {
  std::int32_t& number = numbers_[index(root)];
  if (number < 0) {
    number = static_cast<std::int32_t>(places_.size()) / num_microbatches();
    places_.resize(places_.size() + in_.graphs.size());
  }
  return places_[index(number * num_microbatches() + microbatch)];
}

std::int64_t StepMemory::reserve_fixed(std::int64_t bytes) {
  const std::int64_t offset = fixed_bytes_;
  fixed_bytes_ += aligned_bytes(bytes);
  return offset;
}

/// Inputs and labels by microbatch, constants by microbatch size, states once, weights in the flat buffer.
void StepMemory::place_fixed() {
  const Graph& g = graph(0);
  std::vector<bool> read(index(g.num_values()), false);
  for (NodeId id = 0; id < g.num_nodes(); ++id) {
    if (!sequence_.runs_here(id)) continue;
    for (const ValueId input : g.node(id).inputs) {
      if (input != kNone) read[index(input)] = true;
    }
  }
  for (ValueId id = 0; id < g.num_values(); ++id) {
    if (read[index(id)] && g.value(id).role != Role::activation) place_fixed_value(id);
  }
  place_sums();
  // What a microbatch makes of a state is the state that the next one finds.
  for (const auto& [state, next] : g.next_state) {
    for (int m = 0; m < num_microbatches(); ++m) {
      const BufferPlace found = place_to_set(state, m);
      place_to_set(next, m) = found;
    }
  }
}

void StepMemory::place_fixed_value(ValueId id) {
  const Value& value = graph(0).value(id);
  const int segment = value.role == Role::parameter ? in_.layout.find(id) : -1;
  const std::int64_t state = value.role == Role::state ? reserve_fixed(value.num_bytes()) : 0;
  for (int m = 0; m < num_microbatches(); ++m) {
    BufferPlace& at = place_to_set(id, m);
    if (segment >= 0) {
      at = {BufferPlace::Kind::parameter, in_.layout.segments[index(segment)].begin};
    } else if (value.role == Role::state) {
      at = {BufferPlace::Kind::fixed, state};
    } else {
      const auto same = std::find(in_.graphs.begin(), in_.graphs.begin() + m, in_.graphs[index(m)]);
      const int twin = static_cast<int>(same - in_.graphs.begin());
      if (twin < m && !is_fed(value)) {
        at = place(id, twin);
      } else {
        at = {BufferPlace::Kind::fixed, reserve_fixed(graph(m).value(id).num_bytes())};
      }
    }
  }
}

void StepMemory::place_sums() {
  later_sums_.resize(in_.layout.segments.size());
  for (std::size_t i = 0; i < later_sums_.size(); ++i) {
    const std::size_t num_stages = sequence_.summing_stages(static_cast<int>(i)).size();
    const std::int64_t bytes = in_.layout.segments[i].count * static_cast<std::int64_t>(sizeof(float));
    for (std::size_t s = 1; s < num_stages; ++s) later_sums_[i].push_back(reserve_fixed(bytes));
  }
}

BufferPlace StepMemory::place_of_sum(ValueId addend) const {
  const int segment = in_.layout.find(in_.map.addend_of(addend));
  const std::span<const int> stages = sequence_.summing_stages(segment);
  const int stage = in_.stages[index(graph(0).value(addend).producer)];
  const auto place = static_cast<std::size_t>(std::find(stages.begin(), stages.end(), stage) - stages.begin());
  if (place == 0) return {BufferPlace::Kind::gradient, in_.layout.segments[index(segment)].begin};
  return {BufferPlace::Kind::fixed, later_sums(segment)[place - 1]};
}

void StepMemory::touch(ValueId value, int microbatch, std::int32_t position) {
  if (value == kNone) return;
  const ValueId root = sequence_.root(value);
  BufferPlace& at = place_to_set(root, microbatch);
  if (at.kind != BufferPlace::Kind::nowhere && at.kind != BufferPlace::Kind::arena) return;
  if (at.kind == BufferPlace::Kind::nowhere) {
    at.kind = BufferPlace::Kind::arena;
    at.lifetime = static_cast<std::int32_t>(lifetimes_.size());
    lifetimes_.push_back({graph(microbatch).value(root).num_bytes(), position, position});
  }
  Lifetime& life = lifetimes_[index(at.lifetime)];
  life.first = std::min(life.first, position);
  life.last = std::max(life.last, position);
}

void StepMemory::touch_slot(std::int32_t position) {
  const Slot& slot = sequence_.slots()[index(position)];
  if (slot.kind == SlotKind::wait) return;
  const Task& t = in_.tasks.tasks[index(slot.task)];
  const int m = t.id.microbatch;
  const std::int32_t until = slot.kind == SlotKind::post ? sequence_.wait_of(slot.task) : position;
  const auto hold = [&](ValueId value) {
    touch(value, m, position);
    touch(value, m, until);
  };
  if (t.value != kNone) hold(t.value);
  if (t.node == kNone || slot.part == SlotPart::join_gradient) return;
  const Node& node = graph(m).node(t.node);
  for (const ValueId input : node.inputs) hold(input);
  for (const ValueId output : node.outputs) {
    if (sequence_.writes_gradient(output)) place_to_set(output, m) = place_of_sum(output);
    hold(output);
  }
}

void StepMemory::place_activations() {
  const auto end = static_cast<std::int32_t>(sequence_.slots().size());
  for (std::int32_t position = 0; position < end; ++position) touch_slot(position);
  const Graph& g = graph(0);
  for (int m = 0; m < num_microbatches(); ++m) {
    for (const ValueId kept : {g.loss, in_.keeps_output ? g.output : kNone}) {
      if (kept != kNone && place(kept, m).kind == BufferPlace::Kind::arena) touch(kept, m, end);
    }
  }
  const MemoryPlan plan = plan_memory(lifetimes_);
  for (BufferPlace& at : places_) {
    if (at.kind == BufferPlace::Kind::arena) at.offset = plan.offsets[index(at.lifetime)];
  }
  arena_bytes_ = plan.peak_bytes;
}

}  // namespace dml
