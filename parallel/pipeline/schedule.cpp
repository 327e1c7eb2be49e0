#include "parallel/pipeline/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "parallel/pipeline/orders.h"
#include "parallel/pipeline/stage_links.h"

namespace dml {
namespace {

int positions_from(const Pipeline& pipeline, int position) { return pipeline.placement.num_positions() - position; }

int all_alive(const Pipeline& pipeline, int) { return pipeline.microbatches; }

int alternating_alive(const Pipeline& pipeline, int position) {
  return std::min(pipeline.microbatches, positions_from(pipeline, position));
}

int overlapped_alive(const Pipeline& pipeline, int position) {
  return std::min(pipeline.microbatches, 2 * positions_from(pipeline, position));
}

int h2_alive(const Pipeline& pipeline, int position) {
  return std::min(pipeline.microbatches, 2 * positions_from(pipeline, position) - 1);
}

/// Of interleaved schedules: the warm-up forwards and the one that stands before the first backward.
int chunks_alive(const Pipeline& pipeline, int position) {
  const int positions = pipeline.placement.num_positions();
  const int chunks = pipeline.placement.num_stages() / positions;
  const int group = pipeline.group == 0 ? positions : pipeline.group;
  return std::min(pipeline.microbatches * chunks,
                  2 * (positions_from(pipeline, position) - 1) + (chunks - 1) * group + 1);
}

int overlapped_chunks_alive(const Pipeline& pipeline, int position) {
  const int chunks = pipeline.placement.num_stages() / pipeline.placement.num_positions();
  return std::min(pipeline.microbatches * chunks, chunks_alive(pipeline, position) + 1);
}

int v_alive(const Pipeline& pipeline, int) {
  return 2 * std::min(pipeline.microbatches, pipeline.placement.num_positions());
}

int dual_alive(const Pipeline& pipeline, int) {
  return std::min(pipeline.microbatches, pipeline.placement.num_positions() + 1);
}

int dual_v_alive(const Pipeline& pipeline, int) {
  return std::min(2 * pipeline.microbatches, 2 * pipeline.placement.num_positions() + 1);
}

constexpr std::array kSchedules{
    ScheduleDef{.name = "gpipe",
                .summary = "all forward passes, then all backward passes",
                .orders = gpipe_orders,
                .most_alive = all_alive},
    ScheduleDef{.name = "1f1b",
                .summary = "after a warm-up, one forward and one backward each",
                .orders = one_forward_one_backward_orders,
                .most_alive = alternating_alive},
    ScheduleDef{.name = "interleaved",
                .summary = "1f1b over several chunks of layers per device",
                .chunks = 2,
                .any_chunks = true,
                .placement = Placement::Kind::interleaved,
                .orders = interleaved_orders,
                .most_alive = chunks_alive},
    ScheduleDef{.name = "1f1b-overlap",
                .summary = "1f1b whose forward and backward run as one",
                .orders = overlapped_one_forward_one_backward_orders,
                .most_alive = overlapped_alive},
    ScheduleDef{.name = "interleaved-overlap",
                .summary = "interleaved whose forward and backward run as one",
                .chunks = 2,
                .any_chunks = true,
                .placement = Placement::Kind::interleaved,
                .orders = overlapped_interleaved_orders,
                .most_alive = overlapped_chunks_alive},
    ScheduleDef{.name = "zb-h1",
                .summary = "1f1b with weight gradients put into the bubble",
                .orders = zb_h1_orders,
                .most_alive = alternating_alive},
    ScheduleDef{.name = "zb-h2",
                .summary = "the same with a longer warm-up: twice the memory",
                .orders = zb_h2_orders,
                .most_alive = h2_alive},
    ScheduleDef{.name = "zb-1p",
                .summary = "searched for the given times, in 1f1b's memory",
                .orders = zb_1p_orders,
                .warm_up = zb_1p_warm_up},
    ScheduleDef{.name = "zb-2p",
                .summary = "searched for the given times, in twice the memory",
                .orders = zb_2p_orders,
                .warm_up = zb_2p_warm_up},
    ScheduleDef{.name = "zb-v",
                .summary = "two chunks in a V, weight gradients apart",
                .chunks = 2,
                .placement = Placement::Kind::v_shape,
                .orders = zb_v_orders,
                .most_alive = v_alive},
    ScheduleDef{.name = "dualpipe",
                .summary = "from both ends over two copies (simulated only)",
                .chunks = 2,
                .placement = Placement::Kind::v_shape,
                .copies = 2,
                .orders = dual_pipe_orders,
                .most_alive = dual_alive},
    ScheduleDef{.name = "dualpipe-v",
                .summary = "dualpipe on one copy, two chunks in a V",
                .chunks = 2,
                .placement = Placement::Kind::v_shape,
                .orders = dual_pipe_v_orders,
                .most_alive = dual_v_alive},
};

/// Which passes have run, while the orders of all positions are played against each other.
class Replay {
 public:
  Replay(const Placement& placement, int microbatches, int copies)
      : links_(placement.num_stages(), microbatches, copies), num_stages_(placement.num_stages()) {
    for (auto& next : next_) {
      for (int stage = 0; stage < num_stages_; ++stage) next.push_back(links_.first_microbatch(stage));
    }
  }

  /// Throws where `a` is no pass of the pipeline.
  void check(const Action& a) const {
    if (static_cast<std::size_t>(a.phase) >= next_.size())
      throw std::invalid_argument(fmt::format("[schedule] {} is no pass of a schedule", a.to_string()));
    if (a.stage < 0 || a.stage >= num_stages_)
      throw std::invalid_argument(fmt::format("[schedule] {}: there are {} stages", a.to_string(), num_stages_));
    if (a.microbatch < links_.first_microbatch(a.stage) || a.microbatch >= links_.end_microbatch(a.stage)) {
      throw std::invalid_argument(fmt::format("[schedule] {}: stage {} has the microbatches {} to {}", a.to_string(),
                                              a.stage, links_.first_microbatch(a.stage),
                                              links_.end_microbatch(a.stage) - 1));
    }
  }

  bool ready(const Action& a) const {
    if (a.phase == Phase::weight_grad) return has(Phase::input_grad, a.stage, a.microbatch);
    const int source = links_.source(a.phase, a.stage);
    if (source >= 0 && !has(a.phase, source, a.microbatch)) return false;
    return a.phase == Phase::forward || has(Phase::forward, a.stage, a.microbatch);
  }

  void run(const Action& a) {
    mark(a.phase, a);
    if (a.phase == Phase::input_grad && a.fused) mark(Phase::weight_grad, a);
  }

  void check_complete() const {
    for (const Phase phase : {Phase::forward, Phase::input_grad, Phase::weight_grad}) {
      for (int stage = 0; stage < num_stages_; ++stage) {
        const int next = next_of(phase, stage);
        if (next < links_.end_microbatch(stage))
          throw std::invalid_argument(fmt::format("[schedule] {}{}{} is missing", stage, letter_of(phase), next));
      }
    }
  }

 private:
  int next_of(Phase phase, int stage) const {
    return next_[static_cast<std::size_t>(phase)][static_cast<std::size_t>(stage)];
  }
  bool has(Phase phase, int stage, int microbatch) const { return microbatch < next_of(phase, stage); }
  void mark(Phase phase, const Action& a) {
    int& next = next_[static_cast<std::size_t>(phase)][static_cast<std::size_t>(a.stage)];
    if (a.microbatch < next) throw std::invalid_argument(fmt::format("[schedule] {} runs twice", a.to_string()));
    if (a.microbatch > next) {
      throw std::invalid_argument(fmt::format("[schedule] {} runs before {}{}{}: a stage takes microbatches in order",
                                              a.to_string(), a.stage, letter_of(phase), next));
    }
    ++next;
  }

  StageLinks links_;
  int num_stages_;
  std::array<std::vector<int>, 3> next_;  // by phase and stage: the microbatch that comes next
};

void check_positions(std::span<const Order> orders, const Placement& placement) {
  if (static_cast<int>(orders.size()) != placement.num_positions()) {
    throw std::invalid_argument(
        fmt::format("[schedule] {} orders for {} positions", orders.size(), placement.num_positions()));
  }
}

/// Overlapped pairs stand together.
void check_pairs(const Order& order) {
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (!order[i].with_next) continue;
    const bool paired = order[i].phase == Phase::forward && i + 1 < order.size() &&
                        order[i + 1].phase == Phase::input_grad && order[i + 1].fused && !order[i + 1].with_next;
    if (!paired)
      throw std::invalid_argument(
          fmt::format("[schedule] {} overlaps with no backward pass behind it", order[i].to_string()));
  }
}

void check_actions(const Order& order, int position, const Placement& placement, const Replay& replay) {
  check_pairs(order);
  for (const Action& a : order) {
    replay.check(a);
    if (placement.position(a.stage) != position) {
      throw std::invalid_argument(fmt::format("[schedule] {} is given to position {}, its stage is at {}",
                                              a.to_string(), position, placement.position(a.stage)));
    }
  }
}

/// Runs what can run of one order; true if anything did.
bool advance(const Order& order, std::size_t& next, Replay& replay) {
  const std::size_t first = next;
  while (next < order.size()) {
    const std::size_t count = order[next].with_next ? 2 : 1;
    for (std::size_t i = next; i < next + count; ++i) {
      if (!replay.ready(order[i])) return next > first;
    }
    for (std::size_t i = 0; i < count; ++i) replay.run(order[next++]);
  }
  return next > first;
}

}  // namespace

std::string Action::to_string() const {
  const char letter = phase == Phase::input_grad ? (fused ? 'B' : 'I') : letter_of(phase);
  return fmt::format("{}{}{}", stage, letter, microbatch);
}

std::span<const ScheduleDef> all_schedules() { return kSchedules; }

std::vector<const ScheduleDef*> trainable_schedules() {
  std::vector<const ScheduleDef*> schedules;
  for (const ScheduleDef& schedule : kSchedules) {
    if (schedule.copies == 1) schedules.push_back(&schedule);
  }
  return schedules;
}

const ScheduleDef& find_schedule(std::string_view name) {
  std::string known;
  for (const ScheduleDef& schedule : kSchedules) {
    if (schedule.name == name) return schedule;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", schedule.name);
  }
  throw std::invalid_argument(fmt::format("[schedule] '{}' is not known; there are {}", name, known));
}

void validate(std::span<const Order> orders, const Placement& placement, int microbatches, int copies) {
  check_positions(orders, placement);
  Replay replay(placement, microbatches, copies);
  for (int position = 0; position < placement.num_positions(); ++position)
    check_actions(orders[static_cast<std::size_t>(position)], position, placement, replay);
  std::vector<std::size_t> next(orders.size(), 0);
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t i = 0; i < orders.size(); ++i) moved |= advance(orders[i], next[i], replay);
  }
  for (std::size_t i = 0; i < orders.size(); ++i) {
    if (next[i] < orders[i].size()) {
      throw std::invalid_argument(
          fmt::format("[schedule] position {} waits for ever before {}", i, orders[i][next[i]].to_string()));
    }
  }
  replay.check_complete();
}

std::vector<int> least_alive(const ScheduleDef& schedule, const Pipeline& pipeline) {
  if (is_searched(schedule)) return schedule.warm_up(pipeline);
  // Promises are kept to the full where all chunks find microbatches for their warm-up.
  const int positions = pipeline.placement.num_positions();
  const bool is_reached =
      pipeline.placement.num_stages() == positions || pipeline.microbatches >= 2 * std::max(positions, pipeline.group);
  std::vector<int> alive;
  for (int position = 0; position < positions; ++position)
    alive.push_back(is_reached ? schedule.most_alive(pipeline, position) : 1);
  return alive;
}

int most_alive(const Order& order) {
  int alive = 0;
  int most = 0;
  for (const Action& action : order) {
    if (action.phase == Phase::forward) most = std::max(most, ++alive);
    if (action.phase == Phase::input_grad) --alive;
  }
  return most;
}

double peak_memory(const Order& order, const Pipeline& pipeline) {
  double memory = 0;
  double peak = 0;
  for (const Action& action : order) {
    const StageCost cost = pipeline.cost(action.stage);
    switch (action.phase) {
      case Phase::forward: memory += cost.activations; break;
      case Phase::input_grad: memory -= cost.activations - (action.fused ? 0 : cost.weight_inputs); break;
      default: memory -= cost.weight_inputs; break;
    }
    peak = std::max(peak, memory);
  }
  return peak;
}

void keep_if(Order& order, const std::function<bool(const Action&)>& keep) {
  if (std::all_of(order.begin(), order.end(), keep)) return;
  Order kept;
  kept.reserve(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (!keep(order[i])) continue;
    kept.push_back(order[i]);
    if (order[i].with_next) kept.back().with_next = keep(order[i + 1]);
  }
  order = std::move(kept);
}

}  // namespace dml
