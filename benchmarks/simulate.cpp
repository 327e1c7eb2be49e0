// Times the simulators: the tasks of a training step of an MLP over 2 replicas and 4 stages, from thousands to
// millions.
//   dml_bench_simulate [MOST_TASKS]
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "models/autodiff.h"
#include "models/loss.h"
#include "models/onnx/model_file.h"
#include "models/rewrite/fuse.h"
#include "models/trainable.h"
#include "models/zoo/zoo.h"
#include "parallel/model_layout.h"
#include "parallel/simulate/step_simulation.h"
#include "parallel/simulate/task_list.h"

namespace {

/// Bytes that are allocated, and the most since the last reset.
std::size_t held_bytes = 0;
std::size_t most_bytes = 0;

}  // namespace

void* operator new(std::size_t size) {
  void* const memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  held_bytes += malloc_usable_size(memory);
  most_bytes = std::max(most_bytes, held_bytes);
  return memory;
}

void operator delete(void* memory) noexcept {
  held_bytes -= memory == nullptr ? 0 : malloc_usable_size(memory);
  std::free(memory);
}
void operator delete(void* memory, std::size_t /*size*/) noexcept { operator delete(memory); }

namespace dml {
namespace {

constexpr int kReplicas = 2;
constexpr int kStages = 4;
constexpr int kLayers = 48;
constexpr int kRepetitions = 3;
constexpr std::int64_t kMostTasks = 10'000'000;

Graph mlp(std::int64_t samples) {
  std::string hidden = "8";
  for (int layer = 1; layer < kLayers; ++layer) hidden += "x8";
  BuildOptions options;
  options.batch = samples;
  Graph graph = load_builtin("mlp:in=8,out=8,hidden=" + hidden, 0)->build(options);
  choose_trainable(graph, {}, {});
  fuse(graph);
  append_loss(graph, "cross_entropy", DataType::i64, Shape{samples});
  append_backward(graph);
  return graph;
}

std::vector<RankTasks> tasks_of_step(const Mesh& mesh, int microbatches) {
  PartitionOptions options;
  options.microbatches = microbatches;
  options.batch = std::int64_t{mesh.d()} * microbatches;
  ModelLayout layout(mlp, mesh, options);
  std::vector<RankTasks> ranks;
  for (int rank = 0; rank < mesh.world_size(); ++rank) ranks.push_back(layout.partition(rank).tasks);
  return ranks;
}

std::size_t num_tasks(const std::vector<RankTasks>& ranks) {
  std::size_t count = 0;
  for (const RankTasks& rank : ranks) count += rank.tasks.size();
  return count;
}

struct Cost {
  double seconds = 1e30;  ///< the least of several runs
  std::size_t bytes = 0;  ///< that a run allocates at most
};

template <typename Fn>
Cost cost_of_run(const Fn& run) {
  Cost cost;
  for (int i = 0; i < kRepetitions; ++i) {
    const std::size_t before = most_bytes = held_bytes;
    const auto begin = std::chrono::steady_clock::now();
    run();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    cost.seconds = std::min(cost.seconds, seconds.count());
    cost.bytes = most_bytes - before;
  }
  return cost;
}

Cost cost_of_step(const std::vector<RankTasks>& ranks, const Mesh& mesh) {
  const TaskSeconds seconds = [](const RankTasks& rank, std::size_t i) {
    return rank.tasks[i].queue == QueueId::compute ? 2e-6 : 5e-6;
  };
  return cost_of_run([&] { simulate_step(ranks, mesh, Hosts{}, seconds); });
}

/// The same compute tasks in a list: each rank a resource, each task behind those that it depends on.
TaskList task_list_of(const std::vector<RankTasks>& ranks) {
  std::size_t dependencies = 0;
  for (const RankTasks& rank : ranks) dependencies += rank.deps.size();
  TaskList list(static_cast<int>(ranks.size()));
  list.reserve(num_tasks(ranks), dependencies);
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    const std::int32_t first = list.num_tasks();
    for (const Task& task : ranks[rank].tasks) {
      list.add(static_cast<std::int32_t>(rank), task.queue == QueueId::compute ? 2e-6 : 0);
      for (const std::int32_t dep : ranks[rank].deps_of(task)) list.wait_for(first + dep, 0);
    }
  }
  return list;
}

void print_row(std::int64_t wanted) {
  const Mesh mesh(kReplicas, kStages, 1);
  const auto of_one = static_cast<std::int64_t>(num_tasks(tasks_of_step(mesh, 1)));
  const auto of_two = static_cast<std::int64_t>(num_tasks(tasks_of_step(mesh, 2)));
  const auto microbatches = std::max<std::int64_t>(1, (wanted - of_one) / (of_two - of_one) + 1);
  const std::size_t before = held_bytes;
  const std::vector<RankTasks> ranks = tasks_of_step(mesh, static_cast<int>(microbatches));
  const auto tasks = static_cast<double>(num_tasks(ranks));
  const double task_bytes = static_cast<double>(held_bytes - before) / tasks;
  const Cost step = cost_of_step(ranks, mesh);
  const std::size_t before_list = held_bytes;
  const TaskList list = task_list_of(ranks);
  const double list_bytes = static_cast<double>(held_bytes - before_list) / tasks;
  const Cost replayed = cost_of_run([&] { replay(list); });
  fmt::print("| {:.0f} | {:.2f} | {:.1f} | {:.0f} | {:.0f} | {:.2f} | {:.1f} | {:.0f} |\n", tasks, step.seconds * 1e3,
             tasks / step.seconds / 1e6, task_bytes, static_cast<double>(step.bytes) / tasks, replayed.seconds * 1e3,
             tasks / replayed.seconds / 1e6, list_bytes + static_cast<double>(replayed.bytes) / tasks);
}

}  // namespace
}  // namespace dml

int main(int argc, char** argv) {
  const std::int64_t most = argc > 1 ? std::atoll(argv[1]) : dml::kMostTasks;
  fmt::print(
      "| tasks | step: ms | million tasks/s | bytes a task | and to play it | list: ms | million tasks/s | bytes a "
      "task |\n"
      "|---|---|---|---|---|---|---|---|\n");
  for (std::int64_t tasks = 1000; tasks <= most; tasks *= 10) dml::print_row(tasks);
  return 0;
}
