#include "parallel/simulate/schedule_simulation.h"

#include <algorithm>

#include "models/index.h"
#include "parallel/pipeline/stage_links.h"
#include "parallel/simulate/task_list.h"

namespace dml {
namespace {

/// Tasks of the orders' passes: one per action, or one per overlapped pair.
class ScheduleTasks {
 public:
  ScheduleTasks(std::span<const Order> orders, const Pipeline& pipeline, int copies)
      : orders_(orders),
        pipeline_(pipeline),
        links_(pipeline.placement.num_stages(), pipeline.microbatches, copies),
        tasks_(pipeline.placement.num_positions()) {
    const auto num_tasks = static_cast<std::size_t>(number());
    tasks_.reserve(num_tasks, num_tasks);
    for (std::size_t position = 0; position < orders.size(); ++position) {
      const Order& order = orders[position];
      for (std::size_t i = 0; i < order.size(); ++i) {
        const bool second_of_pair = i > 0 && order[i - 1].with_next;
        if (!second_of_pair) tasks_.add(static_cast<int>(position), time_of(order, i));
        wait_for_inputs(order[i]);
      }
    }
  }

  const TaskList& tasks() const { return tasks_; }

 private:
  /// Which task makes the result of each forward and backward pass; the number of tasks.
  std::int32_t number() {
    for (auto& numbers : task_of_) numbers.assign(index(pipeline_.placement.num_stages() * pipeline_.microbatches), -1);
    std::int32_t next = 0;
    for (const Order& order : orders_) {
      for (const Action& action : order) {
        if (action.phase != Phase::weight_grad) task_of(action.phase, action.stage, action.microbatch) = next;
        if (!action.with_next) ++next;
      }
    }
    return next;
  }

  std::int32_t& task_of(Phase phase, int stage, int microbatch) {
    return task_of_[phase == Phase::forward ? 0 : 1][index(stage * pipeline_.microbatches + microbatch)];
  }

  double time_of(const Order& order, std::size_t i) const {
    const StageCost own = pipeline_.cost(order[i].stage);
    if (order[i].with_next) return (own.overlapped + pipeline_.cost(order[i + 1].stage).overlapped) / 2;
    switch (order[i].phase) {
      case Phase::forward: return own.forward;
      case Phase::input_grad: return own.input_grad + (order[i].fused ? own.weight_grad : 0);
      default: return own.weight_grad;
    }
  }

  void wait_for_inputs(const Action& action) {
    if (action.phase == Phase::weight_grad) return;  // its backward pass stands before it in the queue
    const int source = links_.source(action.phase, action.stage);
    if (source >= 0) tasks_.wait_for(task_of(action.phase, source, action.microbatch), pipeline_.latency);
  }

  std::span<const Order> orders_;
  const Pipeline& pipeline_;
  StageLinks links_;
  std::vector<std::int32_t> task_of_[2];
  TaskList tasks_;
};

PositionTimes position_times(std::span<const TimedAction> actions, const Order& order, const Pipeline& pipeline) {
  PositionTimes times;
  for (std::size_t i = 0; i < actions.size(); ++i) {
    if (!order[i].with_next) times.busy += actions[i].end - actions[i].start;
  }
  if (!actions.empty()) {
    times.first_start = actions.front().start;
    times.last_end = actions.back().end;
  }
  times.peak_memory = peak_memory(order, pipeline);
  return times;
}

void summarize(ScheduleTimes& times) {
  double busy = 0;
  for (const PositionTimes& position : times.positions) {
    times.makespan = std::max(times.makespan, position.last_end);
    times.cost = std::max(times.cost, position.last_end - position.first_start);
    busy += position.busy;
  }
  if (times.cost > 0) times.bubble_rate = 1 - busy / (static_cast<double>(times.positions.size()) * times.cost);
}

}  // namespace

ScheduleTimes simulate(std::span<const Order> orders, const Pipeline& pipeline, int copies) {
  const ScheduleTasks tasks(orders, pipeline, copies);
  const TaskTimes played = replay(tasks.tasks());
  ScheduleTimes times;
  times.actions.reserve(played.start.size());
  std::size_t task = 0;
  for (std::size_t position = 0; position < orders.size(); ++position) {
    const std::size_t first = times.actions.size();
    for (const Action& action : orders[position]) {
      times.actions.push_back({action, static_cast<int>(position), played.start[task], played.end[task]});
      if (!action.with_next) ++task;
    }
    times.positions.push_back(position_times(std::span(times.actions).subspan(first), orders[position], pipeline));
  }
  summarize(times);
  return times;
}

}  // namespace dml
