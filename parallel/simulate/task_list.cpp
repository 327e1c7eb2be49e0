#include "parallel/simulate/task_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "models/index.h"

namespace dml {
namespace {

constexpr std::int32_t kNobody = -1;
constexpr double kNotYet = std::numeric_limits<double>::infinity();

/// Each resource runs its queue until a task whose input is missing, and is entered in the list of those that wait for
/// that input. A resource waits for one task at a time, so the lists need one link per resource.
class Run {
 public:
  explicit Run(const TaskList& tasks)
      : tasks_(tasks),
        times_{std::vector<double>(index(tasks.num_tasks())), std::vector<double>(index(tasks.num_tasks()), kNotYet)},
        next_in_queue_(index(tasks.num_tasks()), kNobody),
        head_(index(tasks.num_resources()), kNobody),
        free_at_(index(tasks.num_resources()), 0),
        first_waiting_(index(tasks.num_tasks()), kNobody),
        next_waiting_(index(tasks.num_resources()), kNobody) {
    for (std::int32_t task = tasks.num_tasks() - 1; task >= 0; --task) {
      std::int32_t& head = head_[index(tasks.resource(task))];
      next_in_queue_[index(task)] = head;
      head = task;
    }
  }

  TaskTimes all() {
    for (std::int32_t resource = 0; resource < tasks_.num_resources(); ++resource) awake_.push_back(resource);
    while (!awake_.empty()) {
      const std::int32_t resource = awake_.back();
      awake_.pop_back();
      advance(resource);
    }
    for (const std::int32_t task : head_) {
      if (task != kNobody)
        throw std::invalid_argument(
            fmt::format("[simulate] task {} of resource {} waits for ever", task, tasks_.resource(task)));
    }
    return std::move(times_);
  }

 private:
  void advance(std::int32_t resource) {
    std::int32_t& head = head_[index(resource)];
    double& free_at = free_at_[index(resource)];
    for (; head != kNobody; head = next_in_queue_[index(head)]) {
      double start = free_at;
      for (const Dependency& dependency : tasks_.dependencies(head)) {
        const double end = times_.end[index(dependency.task)];
        if (end == kNotYet) {
          wait(resource, dependency.task);
          return;
        }
        start = std::max(start, end + dependency.latency);
      }
      times_.start[index(head)] = start;
      times_.end[index(head)] = free_at = start + tasks_.duration(head);
      wake_those_waiting_for(head);
    }
  }

  void wait(std::int32_t resource, std::int32_t task) {
    next_waiting_[index(resource)] = first_waiting_[index(task)];
    first_waiting_[index(task)] = resource;
  }

  void wake_those_waiting_for(std::int32_t task) {
    for (std::int32_t r = first_waiting_[index(task)]; r != kNobody; r = next_waiting_[index(r)]) awake_.push_back(r);
  }

  const TaskList& tasks_;
  TaskTimes times_;
  std::vector<std::int32_t> next_in_queue_;  // by task
  std::vector<std::int32_t> head_;           // by resource: the task whose turn it is
  std::vector<double> free_at_;              // by resource
  std::vector<std::int32_t> first_waiting_;  // by task: a resource
  std::vector<std::int32_t> next_waiting_;   // by resource: another that waits for the same task
  std::vector<std::int32_t> awake_;          // resources that may go on
};

void check_dependencies(const TaskList& tasks) {
  for (std::int32_t task = 0; task < tasks.num_tasks(); ++task) {
    for (const Dependency& dependency : tasks.dependencies(task)) {
      if (dependency.task < 0 || dependency.task >= tasks.num_tasks())
        throw std::invalid_argument(
            fmt::format("[simulate] task {} waits for task {} of {}", task, dependency.task, tasks.num_tasks()));
    }
  }
}

}  // namespace

void TaskList::reserve(std::size_t num_tasks, std::size_t num_dependencies) {
  durations_.reserve(num_tasks);
  resources_.reserve(num_tasks);
  first_dependency_.reserve(num_tasks);
  dependencies_.reserve(num_dependencies);
}

std::int32_t TaskList::add(std::int32_t resource, double duration) {
  if (resource < 0 || resource >= num_resources_)
    throw std::invalid_argument(fmt::format("[simulate] resource {} of {}", resource, num_resources_));
  durations_.push_back(duration);
  resources_.push_back(resource);
  first_dependency_.push_back(static_cast<std::uint32_t>(dependencies_.size()));
  return num_tasks() - 1;
}

std::span<const Dependency> TaskList::dependencies(std::int32_t task) const {
  const std::size_t first = first_dependency_[index(task)];
  const std::size_t end = task + 1 < num_tasks() ? first_dependency_[index(task) + 1] : dependencies_.size();
  return std::span(dependencies_).subspan(first, end - first);
}

TaskTimes replay(const TaskList& tasks) {
  check_dependencies(tasks);
  return Run(tasks).all();
}

}  // namespace dml
