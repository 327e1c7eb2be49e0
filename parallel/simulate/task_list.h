// The event engine: tasks on resources, each in its resource's queue, with what they wait for -> when they run.
// Flat arrays: a task takes 40 bytes and 16 more per dependency, times included; replay is linear in both.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dml {

/// A task waits for another to end, and for `latency` after that.
struct Dependency {
  std::int32_t task = 0;
  double latency = 0;
};

/// Tasks by number, in the order of their addition. A resource runs its tasks one at a time, in that order.
class TaskList {
 public:
  explicit TaskList(int num_resources) : num_resources_(num_resources) {}

  void reserve(std::size_t num_tasks, std::size_t num_dependencies);
  /// The number of the added task. Throws std::invalid_argument where there is no such resource.
  std::int32_t add(std::int32_t resource, double duration);
  /// Of the task added last; `before` may be a task that is added later.
  void wait_for(std::int32_t before, double latency) { dependencies_.push_back({before, latency}); }

  int num_resources() const { return num_resources_; }
  std::int32_t num_tasks() const { return static_cast<std::int32_t>(durations_.size()); }
  std::int32_t resource(std::int32_t task) const { return resources_[static_cast<std::size_t>(task)]; }
  double duration(std::int32_t task) const { return durations_[static_cast<std::size_t>(task)]; }
  std::span<const Dependency> dependencies(std::int32_t task) const;

 private:
  int num_resources_;
  std::vector<double> durations_;
  std::vector<std::int32_t> resources_;
  std::vector<std::uint32_t> first_dependency_;
  std::vector<Dependency> dependencies_;
};

/// By task, in the unit of the durations.
struct TaskTimes {
  std::vector<double> start, end;
};

/// Every task begins as soon as its resource is free, it is its turn there, and all that it waits for is over.
/// Throws std::invalid_argument, with the first task that never begins, where tasks wait for each other or for one
/// that is not there.
TaskTimes replay(const TaskList& tasks);

}  // namespace dml
