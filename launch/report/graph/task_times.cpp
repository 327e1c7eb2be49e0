#include "launch/report/graph/task_times.h"

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

namespace dml {
namespace {

constexpr double kNanoseconds = 1e9;
constexpr double kMicrosecond = 1e3;  // in nanoseconds

/// What a task is on all ranks of a replica and in all microbatches.
using TaskPlace = std::tuple<Phase, std::int32_t, std::int16_t>;

TaskPlace place_of(const TaskId& id) { return {id.phase, id.operation, id.stage}; }

}  // namespace

TaskTimes task_times(const Drawing& drawing, std::span<const RankTasks> ranks, const Timeline& timeline) {
  std::vector<std::map<TaskPlace, double>> sums(static_cast<std::size_t>(drawing.mesh.d()));
  for (const Span& span : timeline.spans) {
    if (span.start < 0) continue;
    const Task& task = ranks[static_cast<std::size_t>(span.rank)].tasks[static_cast<std::size_t>(span.task)];
    const auto replica = static_cast<std::size_t>(drawing.mesh.coordinate(span.rank).d);
    sums[replica][place_of(task.id)] += (span.end - span.start) / drawing.mesh.t();
  }
  TaskTimes times;
  for (int replica = 0; replica < drawing.mesh.d(); ++replica) {
    const auto& of_replica = sums[static_cast<std::size_t>(replica)];
    std::vector<double>& seconds = times.seconds.emplace_back();
    for (const DrawnTask& task : drawing.program(replica).tasks) {
      const auto found = of_replica.find(place_of(task.id));
      seconds.push_back(found == of_replica.end() ? 0 : found->second);
    }
  }
  return times;
}

std::string task_times_json(std::span<const TaskTimes> times) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const TaskTimes& side : times) {
    auto replicas = nlohmann::ordered_json::array();
    for (const std::vector<double>& seconds : side.seconds) {
      auto microseconds = nlohmann::ordered_json::array();
      for (const double value : seconds) microseconds.push_back(std::round(value * kNanoseconds) / kMicrosecond);
      replicas.push_back(std::move(microseconds));
    }
    json.push_back({{"name", side.name}, {"source", side.source}, {"us", std::move(replicas)}});
  }
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace dml
