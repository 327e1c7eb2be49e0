#include "parallel/compare/measured_schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <stdexcept>
#include <tuple>

#include "models/index.h"

namespace dml {
namespace {

using PassKey = std::tuple<Phase, int, int>;  ///< phase, stage, microbatch

PassKey key_of(const Action& action) { return {action.phase, action.stage, action.microbatch}; }

double median_of(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// The measured passes, each under the schedule's pass that it is.
class PassTable {
 public:
  explicit PassTable(const std::vector<Order>& orders) {
    for (std::size_t position = 0; position < orders.size(); ++position) {
      for (const Action& action : orders[position])
        rows_[key_of(action)] = {action, static_cast<int>(position), std::nullopt};
    }
  }

  void add_all(const std::vector<TimedAction>& passes) {
    std::vector<const TimedAction*> weight_grads;
    for (const TimedAction& pass : passes) {
      if (is_part_of_backward(pass.action)) {
        weight_grads.push_back(&pass);
      } else {
        add(pass);
      }
    }
    for (const TimedAction* pass : weight_grads) extend_backward(*pass);
    check_complete();
  }

  const TimedAction& at(const PassKey& key) const { return *rows_.at(key).measured; }

  /// By position, then in order of time.
  std::vector<TimedAction> timeline() const {
    std::vector<TimedAction> all;
    for (const auto& [key, row] : rows_) all.push_back(*row.measured);
    std::stable_sort(all.begin(), all.end(), [](const TimedAction& a, const TimedAction& b) {
      return std::tie(a.position, a.start) < std::tie(b.position, b.start);
    });
    return all;
  }

 private:
  struct Row {
    Action scheduled;
    int position = 0;
    std::optional<TimedAction> measured;
  };

  bool is_part_of_backward(const Action& action) const {
    return action.phase == Phase::weight_grad && !rows_.contains(key_of(action));
  }

  void add(const TimedAction& pass) {
    const auto row = rows_.find(key_of(pass.action));
    if (row == rows_.end()) {
      throw std::invalid_argument(
          fmt::format("pass {} at position {} is none of the schedule", pass.action.to_string(), pass.position));
    }
    if (row->second.measured)
      throw std::invalid_argument(fmt::format("pass {} is there twice", row->second.scheduled.to_string()));
    if (row->second.position != pass.position) {
      throw std::invalid_argument(fmt::format("pass {} ran at position {}, and is of position {}",
                                              row->second.scheduled.to_string(), pass.position, row->second.position));
    }
    row->second.measured = pass;
    row->second.measured->action = row->second.scheduled;
    row->second.measured->action.with_next = false;
  }

  void extend_backward(const TimedAction& pass) {
    const auto row = rows_.find({Phase::input_grad, pass.action.stage, pass.action.microbatch});
    if (row == rows_.end() || !row->second.measured) {
      throw std::invalid_argument(fmt::format("pass {} at position {} is none of the schedule, nor of a backward pass",
                                              pass.action.to_string(), pass.position));
    }
    row->second.measured->start = std::min(row->second.measured->start, pass.start);
    row->second.measured->end = std::max(row->second.measured->end, pass.end);
  }

  void check_complete() const {
    const auto is_missing = [](const auto& row) { return !row.second.measured; };
    const auto first = std::find_if(rows_.begin(), rows_.end(), is_missing);
    if (first == rows_.end()) return;
    throw std::invalid_argument(fmt::format("{} of the schedule's {} passes are missing, the first of them {}",
                                            std::count_if(rows_.begin(), rows_.end(), is_missing), rows_.size(),
                                            first->second.scheduled.to_string()));
  }

  std::map<PassKey, Row> rows_;
};

std::vector<StageCost> stage_medians(const std::vector<TimedAction>& passes, int num_stages) {
  std::map<std::pair<int, Phase>, std::vector<double>> lengths;
  for (const TimedAction& pass : passes)
    lengths[{pass.action.stage, pass.action.phase}].push_back(pass.end - pass.start);
  std::vector<StageCost> costs(index(num_stages));
  for (int stage = 0; stage < num_stages; ++stage) {
    StageCost& cost = costs[index(stage)];
    cost.forward = median_of(lengths[{stage, Phase::forward}]);
    cost.input_grad = median_of(lengths[{stage, Phase::input_grad}]);
    cost.weight_grad = median_of(lengths[{stage, Phase::weight_grad}]);
    cost.overlapped = cost.forward + cost.input_grad + cost.weight_grad;
  }
  return costs;
}

/// The pass of another stage that this one needs.
std::optional<PassKey> input_of(const Action& action, int num_stages) {
  if (action.phase == Phase::forward && action.stage > 0)
    return PassKey{Phase::forward, action.stage - 1, action.microbatch};
  if (action.phase == Phase::input_grad && action.stage + 1 < num_stages)
    return PassKey{Phase::input_grad, action.stage + 1, action.microbatch};
  return std::nullopt;
}

struct Transfers {
  std::vector<double> waited;  ///< from the end of an input to the begin of a pass that had nothing else to wait for
  double clock_difference = 0;
};

Transfers transfers_of(const PassTable& table, const std::vector<TimedAction>& timeline, int num_stages) {
  Transfers transfers;
  for (std::size_t i = 0; i < timeline.size(); ++i) {
    const std::optional<PassKey> key = input_of(timeline[i].action, num_stages);
    if (!key) continue;
    const TimedAction& input = table.at(*key);
    if (input.position == timeline[i].position) continue;
    const double gap = timeline[i].start - input.end;
    transfers.clock_difference = std::max(transfers.clock_difference, -gap);
    const bool is_first = i == 0 || timeline[i - 1].position != timeline[i].position;
    if (is_first || timeline[i - 1].end < input.end) transfers.waited.push_back(std::max(0.0, gap));
  }
  return transfers;
}

/// Passes may overlap: their union.
PositionTimes position_times(std::span<const TimedAction> passes) {
  PositionTimes times;
  times.first_start = passes.front().start;
  double end = times.first_start;
  for (const TimedAction& pass : passes) {
    times.busy += std::max(0.0, pass.end - std::max(end, pass.start));
    end = std::max(end, pass.end);
  }
  times.last_end = end;
  return times;
}

ScheduleTimes times_of(const std::vector<TimedAction>& timeline, const Pipeline& pipeline) {
  ScheduleTimes times;
  times.actions = timeline;
  double begin = timeline.front().start;
  for (const TimedAction& pass : timeline) begin = std::min(begin, pass.start);
  for (TimedAction& pass : times.actions) {
    pass.start -= begin;
    pass.end -= begin;
  }
  for (auto first = times.actions.begin(); first != times.actions.end();) {
    const auto last = std::find_if(first, times.actions.end(),
                                   [&](const TimedAction& pass) { return pass.position != first->position; });
    Order order;
    for (auto pass = first; pass != last; ++pass) order.push_back(pass->action);
    times.positions.push_back(position_times({first, last}));
    PositionTimes& position = times.positions.back();
    position.peak_memory = peak_memory(order, pipeline);
    times.makespan = std::max(times.makespan, position.last_end);
    times.cost = std::max(times.cost, position.last_end - position.first_start);
    first = last;
  }
  double waits = 0;
  for (const PositionTimes& position : times.positions) waits += times.cost - position.busy;
  if (times.cost > 0) times.bubble_rate = waits / times.cost / static_cast<double>(times.positions.size());
  return times;
}

std::vector<OrderDifference> differences(const std::vector<TimedAction>& timeline, const std::vector<Order>& orders) {
  std::vector<OrderDifference> found;
  auto pass = timeline.begin();
  for (std::size_t position = 0; position < orders.size(); ++position) {
    bool differs = false;
    for (std::size_t place = 0; place < orders[position].size(); ++place, ++pass) {
      if (differs || key_of(pass->action) == key_of(orders[position][place])) continue;
      found.push_back({static_cast<int>(position), place, pass->action, orders[position][place]});
      differs = true;
    }
  }
  return found;
}

}  // namespace

MeasuredSchedule measure_schedule(const std::vector<TimedAction>& passes, const Pipeline& pipeline,
                                  const OrdersOf& orders) {
  PassTable table(orders(pipeline));
  table.add_all(passes);
  const std::vector<TimedAction> timeline = table.timeline();
  const int num_stages = pipeline.placement.num_stages();
  const Transfers transfers = transfers_of(table, timeline, num_stages);
  MeasuredSchedule result{.pipeline = pipeline, .measured = {}, .simulated = {}};
  result.pipeline.costs = stage_medians(timeline, num_stages);
  result.pipeline.latency = median_of(transfers.waited);
  result.clock_difference = transfers.clock_difference;
  result.measured = times_of(timeline, result.pipeline);
  const std::vector<Order> scheduled = orders(result.pipeline);
  result.simulated = simulate(scheduled, result.pipeline);
  result.reordered = differences(timeline, scheduled);
  return result;
}

}  // namespace dml
