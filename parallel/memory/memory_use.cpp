#include "parallel/memory/memory_use.h"

#include <algorithm>

#include "models/index.h"

namespace dml {
namespace {

/// By position of the sequence: bytes alive.
std::vector<std::int64_t> live_by_slot(const StepMemory& memory, std::size_t num_slots) {
  std::vector<std::int64_t> live(num_slots + 2, 0);
  for (const Lifetime& life : memory.lifetimes()) {
    live[index(life.first)] += aligned_bytes(life.bytes);
    live[index(life.last) + 1] -= aligned_bytes(life.bytes);
  }
  for (std::size_t slot = 1; slot < live.size(); ++slot) live[slot] += live[slot - 1];
  return live;
}

/// Sums of weights that positions share are not divided by ZeRO.
bool is_shared(const Bucket& bucket, const Placement& placement) {
  return std::ranges::any_of(bucket.tied_stages, [&](int stage) {
    return placement.position(stage) != placement.position(bucket.tied_stages.front());
  });
}

}  // namespace

std::vector<std::int64_t> live_bytes(const StepSequence& sequence, const StepMemory& memory,
                                     std::span<const Span> spans, double seconds, int num_parts) {
  const std::span<const Slot> slots = sequence.slots();
  const std::vector<std::int64_t> live = live_by_slot(memory, slots.size());
  std::vector<std::int64_t> most(index(num_parts), 0);
  const auto part_of = [&](double time) {
    return seconds > 0 ? std::clamp(static_cast<int>(time / seconds * num_parts), 0, num_parts - 1) : 0;
  };
  double now = 0;
  std::int64_t before = 0;
  const auto hold_until = [&](double time, std::int64_t bytes) {
    for (int part = part_of(now); part <= part_of(std::max(now, time)); ++part)
      most[index(part)] = std::max(most[index(part)], bytes);
    now = std::max(now, time);
  };
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const Span& span = spans[index(slots[i].task)];
    if (slots[i].kind != SlotKind::wait) hold_until(span.start, before);
    hold_until(slots[i].kind == SlotKind::launch ? span.end : now, live[i]);
    before = live[i];
  }
  hold_until(seconds, live[slots.size()]);
  return most;
}

RankMemory memory_of(const Partition& partition, const RankTasks& tasks, const WeightKeeping& keeping,
                     std::span<const Span> spans, double seconds, int num_parts) {
  const SequenceInputs inputs = inputs_of(partition, tasks);
  const StepSequence sequence(inputs);
  const StepMemory memory(inputs, sequence);
  std::int64_t bucket = 0;
  for (const Bucket& each : partition.layout.buckets) {
    if (!is_shared(each, partition.placement)) bucket = std::max(bucket, each.count);
  }
  return {.weights = held_weight_bytes(keeping.techniques, static_cast<double>(partition.layout.size),
                                       static_cast<double>(bucket), keeping.replicas, keeping.states),
          .fixed = memory.fixed_bytes(),
          .arena = memory.arena_bytes(),
          .activations = live_bytes(sequence, memory, spans, seconds, num_parts)};
}

}  // namespace dml
