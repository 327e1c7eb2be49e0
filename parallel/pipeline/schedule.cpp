#include "parallel/pipeline/schedule.h"

#include <fmt/format.h>

#include <array>
#include <stdexcept>

namespace dml {
namespace {

constexpr std::array kSchedules{
    ScheduleDef{"gpipe", 1, Placement::Kind::block, gpipe_orders},
    ScheduleDef{"1f1b", 1, Placement::Kind::block, one_forward_one_backward_orders},
};

/// Which passes have run, while the orders of all positions are played against each other.
class Replay {
 public:
  Replay(const Placement& placement, int microbatches)
      : num_stages_(placement.num_stages()), microbatches_(microbatches) {
    const auto count = static_cast<std::size_t>(num_stages_ * microbatches_);
    for (auto& done : done_) done.assign(count, false);
  }

  bool ready(const Action& a) const {
    check(a);
    switch (a.phase) {
      case Phase::forward: return a.stage == 0 || has(Phase::forward, a.stage - 1, a.microbatch);
      case Phase::input_grad:
        return has(Phase::forward, a.stage, a.microbatch) &&
               (a.stage + 1 == num_stages_ || has(Phase::input_grad, a.stage + 1, a.microbatch));
      default: return has(Phase::input_grad, a.stage, a.microbatch);
    }
  }

  void run(const Action& a) {
    mark(a.phase, a);
    if (a.phase == Phase::input_grad && a.fused) mark(Phase::weight_grad, a);
  }

  bool complete() const {
    for (const auto& done : done_) {
      for (const bool one : done) {
        if (!one) return false;
      }
    }
    return true;
  }

 private:
  std::size_t index(int stage, int microbatch) const {
    return static_cast<std::size_t>(stage * microbatches_ + microbatch);
  }
  bool has(Phase phase, int stage, int microbatch) const {
    return done_[static_cast<std::size_t>(phase)][index(stage, microbatch)];
  }
  void check(const Action& a) const {
    if (a.stage < 0 || a.stage >= num_stages_ || a.microbatch < 0 || a.microbatch >= microbatches_) {
      throw std::invalid_argument(fmt::format("[schedule] {}: there are {} stages and {} microbatches", a.to_string(),
                                              num_stages_, microbatches_));
    }
    if (static_cast<std::size_t>(a.phase) >= done_.size()) {
      throw std::invalid_argument(fmt::format("[schedule] {} is no pass of a schedule", a.to_string()));
    }
  }
  void mark(Phase phase, const Action& a) {
    auto done =
        done_[static_cast<std::size_t>(phase)].begin() + static_cast<std::ptrdiff_t>(index(a.stage, a.microbatch));
    if (*done) throw std::invalid_argument(fmt::format("[schedule] {} runs twice", a.to_string()));
    *done = true;
  }

  int num_stages_;
  int microbatches_;
  std::array<std::vector<bool>, 3> done_;  // forward, input_grad, weight_grad
};

void check_positions(std::span<const Order> orders, const Placement& placement) {
  if (static_cast<int>(orders.size()) != placement.num_positions()) {
    throw std::invalid_argument(
        fmt::format("[schedule] {} orders for {} positions", orders.size(), placement.num_positions()));
  }
  for (int position = 0; position < placement.num_positions(); ++position) {
    for (const Action& a : orders[static_cast<std::size_t>(position)]) {
      const bool exists = a.stage >= 0 && a.stage < placement.num_stages();
      if (exists && placement.position(a.stage) != position) {
        throw std::invalid_argument(fmt::format("[schedule] {} is given to position {}, its stage is at {}",
                                                a.to_string(), position, placement.position(a.stage)));
      }
    }
  }
}

}  // namespace

std::string Action::to_string() const {
  const char letter = phase == Phase::input_grad ? (fused ? 'B' : 'I') : letter_of(phase);
  return fmt::format("{}{}{}", stage, letter, microbatch);
}

std::span<const ScheduleDef> all_schedules() { return kSchedules; }

const ScheduleDef& find_schedule(std::string_view name) {
  std::string known;
  for (const ScheduleDef& schedule : kSchedules) {
    if (schedule.name == name) return schedule;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", schedule.name);
  }
  throw std::invalid_argument(fmt::format("[schedule] '{}' is not known; there are {}", name, known));
}

void validate(std::span<const Order> orders, const Placement& placement, int microbatches) {
  check_positions(orders, placement);
  Replay replay(placement, microbatches);
  std::vector<std::size_t> next(orders.size(), 0);
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t position = 0; position < orders.size(); ++position) {
      while (next[position] < orders[position].size() && replay.ready(orders[position][next[position]])) {
        replay.run(orders[position][next[position]++]);
        moved = true;
      }
    }
  }
  for (std::size_t position = 0; position < orders.size(); ++position) {
    if (next[position] < orders[position].size()) {
      throw std::invalid_argument(fmt::format("[schedule] position {} waits for ever before {}", position,
                                              orders[position][next[position]].to_string()));
    }
  }
  if (!replay.complete()) throw std::invalid_argument("[schedule] a pass is missing");
}

}  // namespace dml
