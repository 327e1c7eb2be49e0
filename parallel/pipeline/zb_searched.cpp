// ZB-1p and ZB-2p: the heuristic of the Zero Bubble paper (arXiv 2401.10241, section 3.1). It plays the pipeline
// forward in time, microbatch by microbatch, and fills waiting times with weight gradients; three choices in it are
// open, all eight combinations are played and the one whose slowest stage is done first is kept. O(p·m) a play; all
// comparisons are of sums of the given times, so equal times give equal choices.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <stdexcept>

#include "models/index.h"
#include "parallel/pipeline/orders.h"

namespace dml {
namespace {

struct Choices {
  bool prompt_first_backward;  ///< a warm-up forward may not delay the first backward
  bool backward_first;         ///< a stage far ahead of the next waits rather than run another forward
  bool fills_small_gaps;       ///< a W that overlaps the next pass's start even where waiting would cost nothing
};

struct StageState {
  StageCost cost;
  double end = 0;     ///< of what it has run
  double bubble = 0;  ///< waited since its first forward
  double memory = 0;
  int backwards = 0, weights = 0;
  std::vector<double> forward_end = {}, backward_end = {};  ///< by microbatch
  std::vector<Phase> phases = {};                           ///< run so far: each has its microbatches in order

  int forwards() const { return static_cast<int>(forward_end.size()); }
  bool has_weight() const { return weights < backwards; }
};

class Play {
 public:
  Play(const Pipeline& pipeline, double limit, Choices choices)
      : microbatches_(pipeline.microbatches), latency_(pipeline.latency), limit_(limit), choices_(choices) {
    for (int stage = 0; stage < pipeline.placement.num_stages(); ++stage) {
      StageState& state = stages_.emplace_back(StageState{pipeline.cost(stage)});
      state.forward_end.reserve(index(microbatches_));
      state.backward_end.reserve(index(microbatches_));
      state.phases.reserve(index(3 * microbatches_));
    }
  }

  void run() {
    warm_up();
    for (int microbatch = 1; microbatch < microbatches_; ++microbatch) {
      run_forwards();
      run_backwards(microbatch);
    }
    for (int j = 0; j < num_stages(); ++j) {
      while (at(j).has_weight()) run_weight(j);
    }
  }

  /// The forwards of each stage before its first backward, with which a play begins.
  std::vector<int> begin() {
    for (int j = 0; j < num_stages(); ++j) run_forward(j);
    std::vector<int> forwards = forwards_before_first_backward();
    for (int& count : forwards) ++count;
    return forwards;
  }

  /// The longest time from a stage's first forward to its last pass.
  double longest() const {
    double result = 0;
    for (const StageState& stage : stages_)
      result = std::max(result, stage.end - stage.forward_end[0] + stage.cost.forward);
    return result;
  }

  std::vector<Order> orders() const {
    std::vector<Order> result;
    for (int j = 0; j < static_cast<int>(stages_.size()); ++j) result.push_back(order_of(j));
    return result;
  }

 private:
  static constexpr double kNever = -std::numeric_limits<double>::infinity();

  int num_stages() const { return static_cast<int>(stages_.size()); }
  StageState& at(int stage) { return stages_[index(stage)]; }

  Order order_of(int j) const {
    const std::vector<Phase>& phases = stages_[index(j)].phases;
    std::array<int, 3> microbatches{};  // by phase
    Order order;
    order.reserve(phases.size());
    for (const Phase phase : phases)
      order.push_back({phase, j, microbatches[static_cast<std::size_t>(phase)]++, phase != Phase::input_grad});
    return order;
  }

  double forward_arrival(int j) { return j == 0 ? kNever : at(j - 1).forward_end[index(at(j).forwards())] + latency_; }
  double backward_arrival(int j) {
    return j + 1 == num_stages() ? kNever : at(j + 1).backward_end[index(at(j).backwards)] + latency_;
  }

  void advance(int j, double arrival, double time) {
    StageState& stage = at(j);
    const double unhindered = stage.end + time;
    stage.end = std::max(unhindered, arrival + time);
    if (stage.forwards() == 0) return;
    stage.bubble += stage.end - unhindered;
    longest_bubble_ = std::max(longest_bubble_, stage.bubble);
  }

  void run_forward(int j) {
    StageState& stage = at(j);
    advance(j, forward_arrival(j), stage.cost.forward);
    stage.phases.push_back(Phase::forward);
    stage.forward_end.push_back(stage.end);
    stage.memory += stage.cost.activations;
  }

  void run_backward(int j) {
    StageState& stage = at(j);
    advance(j, backward_arrival(j), stage.cost.input_grad);
    stage.phases.push_back(Phase::input_grad);
    ++stage.backwards;
    stage.backward_end.push_back(stage.end);
    stage.memory -= stage.cost.activations - stage.cost.weight_inputs;
  }

  void run_weight(int j) {
    StageState& stage = at(j);
    advance(j, kNever, stage.cost.weight_grad);
    stage.phases.push_back(Phase::weight_grad);
    ++stage.weights;
    stage.memory -= stage.cost.weight_inputs;
  }

  bool fits(double memory) const { return memory <= limit_ * (1 + 1e-12); }

  /// Forwards until the first backward arrives, as far as memory goes; never more than the stage before has.
  void warm_up() {
    const std::vector<int> forwards = begin();
    for (int j = 0; j < num_stages(); ++j) {
      while (at(j).forwards() < forwards[index(j)]) run_forward(j);
    }
    for (int j = num_stages() - 1; j >= 0; --j) run_backward(j);
  }

  /// More than the first of each stage.
  std::vector<int> forwards_before_first_backward() {
    std::vector<int> more(stages_.size(), 0);
    double first_backward = stages_.back().end + stages_.back().cost.input_grad;
    for (int j = num_stages() - 2; j >= 0; --j) {
      const StageState& stage = at(j);
      const double arrival = first_backward + latency_;
      double memory = stage.memory + stage.cost.activations;
      double end = stage.end;
      for (; 1 + more[index(j)] < microbatches_ && fits(memory); ++more[index(j)]) {
        if (choices_.prompt_first_backward ? end + stage.cost.forward > arrival : end >= arrival) break;
        memory += stage.cost.activations;
        end += stage.cost.forward;
      }
      first_backward = std::max(end, arrival) + stage.cost.input_grad;
    }
    for (std::size_t j = 1; j < more.size(); ++j) {
      const bool all = 1 + more[j] == microbatches_;
      more[j] = std::max(0, std::min(more[j], all ? more[j - 1] : more[j - 1] - 1));
    }
    return more;
  }

  /// At most one forward per stage; none where a later stage runs none.
  void run_forwards() {
    std::vector<bool> runs(stages_.size(), false);
    bool later_runs = true;
    for (int j = num_stages() - 1; j >= 0; --j) {
      const bool wants = at(j).forwards() < microbatches_ && !rather_waits(j);
      later_runs = later_runs && wants;
      runs[index(j)] = later_runs;
    }
    for (int j = 0; j < num_stages(); ++j) {
      if (!runs[index(j)]) continue;
      make_room(j);
      fill_until(j, forward_arrival(j));
      run_forward(j);
    }
  }

  void run_backwards(int microbatch) {
    for (int j = num_stages() - 1; j >= 0; --j) {
      fill_until(j, backward_arrival(j));
      if (j == 0 && at(j).forwards() == microbatches_) {
        while (at(j).weights < microbatch) run_weight(j);
      }
      run_backward(j);
    }
  }

  /// True where the next stage lags so far behind that a forward here would only delay its backward.
  bool rather_waits(int j) {
    if (!choices_.backward_first || j + 1 == num_stages()) return false;
    const StageState& stage = at(j);
    const StageState& next = at(j + 1);
    if (stage.forwards() < next.forwards() + 2) return false;
    const double next_backward = next.end + next.cost.forward + next.cost.input_grad + latency_;
    if (stage.end >= next_backward) return true;
    double weights = 0;
    double memory = stage.memory + stage.cost.activations;
    for (int waiting = stage.backwards - stage.weights; !fits(memory) && waiting > 0; --waiting) {
      weights += stage.cost.weight_grad;
      memory -= stage.cost.weight_inputs;
    }
    if (stage.end + stage.cost.forward + weights <= next_backward) return false;
    return next_backward - stage.end <= longest_bubble_ - stage.bubble;
  }

  void make_room(int j) {
    while (!fits(at(j).memory + at(j).cost.activations) && at(j).has_weight()) run_weight(j);
  }

  /// Weight gradients in the time until the next pass's input arrives. The last may end later, where waiting instead
  /// would make this stage the slowest.
  void fill_until(int j, double arrival) {
    const StageState& stage = at(j);
    while (stage.has_weight() && stage.end + stage.cost.weight_grad <= arrival) run_weight(j);
    if (!stage.has_weight() || stage.end >= arrival) return;
    const bool may_wait = arrival - stage.end <= longest_bubble_ - stage.bubble;
    if (!may_wait || choices_.fills_small_gaps) run_weight(j);
  }

  int microbatches_;
  double latency_, limit_;
  Choices choices_;
  std::vector<StageState> stages_;
  double longest_bubble_ = 0;
};

void check_room(const Pipeline& pipeline, double limit) {
  for (int stage = 0; stage < pipeline.placement.num_stages(); ++stage) {
    const double needed = pipeline.cost(stage).activations;
    if (needed > limit) {
      throw std::invalid_argument(
          fmt::format("[schedule] one microbatch takes {} of memory on stage {}, the limit is {}: no order keeps it",
                      needed, stage, limit));
    }
  }
}

double limit_of(const Pipeline& pipeline, int default_microbatches) {
  double limit = pipeline.memory_limit;
  if (limit == 0) {
    for (int stage = 0; stage < pipeline.placement.num_stages(); ++stage)
      limit = std::max(limit, default_microbatches * pipeline.cost(stage).activations);
  }
  check_room(pipeline, limit);
  return limit;
}

/// The other choices come after the warm-up.
std::vector<int> searched_warm_up(const Pipeline& pipeline, int default_microbatches) {
  const double limit = limit_of(pipeline, default_microbatches);
  std::vector<int> least = Play(pipeline, limit, {true, true, true}).begin();
  const std::vector<int> other = Play(pipeline, limit, {false, true, true}).begin();
  for (std::size_t stage = 0; stage < least.size(); ++stage) least[stage] = std::min(least[stage], other[stage]);
  return least;
}

std::vector<Order> searched_orders(const Pipeline& pipeline, int default_microbatches) {
  const double limit = limit_of(pipeline, default_microbatches);
  std::optional<Play> best;
  for (const bool prompt : {true, false}) {
    for (const bool backward_first : {true, false}) {
      for (const bool fills : {true, false}) {
        Play play(pipeline, limit, {prompt, backward_first, fills});
        play.run();
        if (!best || play.longest() < best->longest()) best = std::move(play);
      }
    }
  }
  return best->orders();
}

}  // namespace

std::vector<Order> zb_1p_orders(const Pipeline& pipeline) {
  return searched_orders(pipeline, pipeline.placement.num_positions());
}

std::vector<Order> zb_2p_orders(const Pipeline& pipeline) {
  return searched_orders(pipeline, 2 * pipeline.placement.num_positions());
}

std::vector<int> zb_1p_warm_up(const Pipeline& pipeline) {
  return searched_warm_up(pipeline, pipeline.placement.num_positions());
}

std::vector<int> zb_2p_warm_up(const Pipeline& pipeline) {
  return searched_warm_up(pipeline, 2 * pipeline.placement.num_positions());
}

}  // namespace dml
