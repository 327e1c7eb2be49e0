#include "launch/commands/simulate_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "launch/atomic_file.h"
#include "launch/commands/ranks_on_hosts.h"
#include "launch/failure.h"
#include "launch/hardware_file.h"
#include "launch/options/option_makers.h"
#include "launch/options/usage_error.h"
#include "launch/report/run/step_chart.h"
#include "launch/report/simulate/step_prediction.h"
#include "launch/terminal/terminal.h"
#include "models/index.h"
#include "parallel/compare/compare.h"
#include "parallel/cost/task_cost.h"
#include "parallel/rank_classes.h"
#include "parallel/simulate/step_simulation.h"
#include "runtime/model/carried_plan.h"
#include "runtime/model/layout_plan.h"

namespace dml {
namespace {

/// Of each class one rank is played.
constexpr int kMostClasses = 4096;
/// Parts of the step, in each of which the largest use of memory is kept.
constexpr int kMemoryParts = 200;
/// Of schedules alone: --hardware says how long passes take, and the layout which there are.
constexpr const char* kOfSchedulesAlone[] = {"read", "devices", "stages", "group", "tf",           "tb",  "tw",
                                             "tfb",  "tcomm",   "mem-b",  "mem-w", "memory-limit", "emit"};

/// What the command calls by the same names as schedules alone.
Config predicted_config(const Command& command) {
  Config config = command.config;
  constexpr int kMost = std::numeric_limits<int>::max();
  config.layout.schedule = command.text("schedule", config.layout.schedule);
  if (command.has("microbatches"))
    config.layout.microbatches = static_cast<int>(parse_integer(command.text("microbatches"), 1, kMost));
  if (command.has("chunks")) config.layout.chunks = static_cast<int>(parse_integer(command.text("chunks"), 1, kMost));
  return config;
}

void refuse_schedule_options(const Command& command) {
  for (const char* name : kOfSchedulesAlone) {
    if (command.has(name)) {
      throw UsageError(fmt::format("--{}: simulates schedules without a model: leave it out, or --hardware {}", name,
                                   command.text("hardware")));
    }
  }
  if (!command.arguments.empty())
    throw UsageError(fmt::format("simulate: '{}' is a file of schedules without a model, which --hardware is not for",
                                 command.arguments.front()));
}

/// By world rank: a number for each kind of device with the same links of its own.
std::vector<int> devices_of(const Hardware& hardware, int world) {
  using Kind = std::pair<const Hardware*, std::vector<int>>;
  std::vector<Kind> devices;
  for (int rank = 0; rank < world; ++rank) devices.emplace_back(&hardware.device_of(rank), hardware.link_ends_of(rank));
  return classes_by<Kind>(devices).of;
}

RankPlaces places_on(const Hardware& hardware, const Hosts& hosts, int world) {
  RankPlaces places;
  if (hardware.ranks_per_host > 0) places.blocks.push_back(hardware.ranks_per_host);
  for (const LinkLevel& level : hardware.levels) places.blocks.push_back(level.ranks);
  if (!hardware.others.empty() || !hardware.links.empty()) places.devices = devices_of(hardware, world);
  if (hosts.cores.slows()) places.ranks_per_host = hosts.cores.ranks;
  return places;
}

RankClasses classes_of(ModelLayout& layout, const Hardware& hardware, const Hosts& hosts) {
  const Placement placement = placement_of(layout.mesh(), layout.options());
  // Who is slowed by whom also depends on which of two things of the same time is first.
  const bool is_by_order = hosts.uplinks.slows() || hosts.overlap_slowdown > 1;
  RankClasses classes = is_by_order ? RankClasses(layout.mesh())
                                    : divided_by_places(layout.classes(), placement,
                                                        places_on(hardware, hosts, layout.mesh().world_size()));
  if (classes.size() > kMostClasses) {
    throw UsageError(
        fmt::format("simulate --hardware plays one rank of each of up to {} classes of alike ranks: {} "
                    "ranks of this layout have {}",
                    kMostClasses, classes.mesh().world_size(), classes.size()));
  }
  return classes;
}

/// In the order of their first task.
std::vector<KindTotal> kinds_of(const std::vector<RankTasks>& ranks, const RankClasses& classes,
                                const Timeline& timeline) {
  std::vector<KindTotal> kinds;
  auto span = timeline.spans.begin();
  for (int i = 0; i < classes.size(); ++i) {
    for (const Task& task : ranks[index(i)].tasks) {
      const std::string name = kind_of(task);
      auto kind = std::ranges::find(kinds, name, &KindTotal::name);
      if (kind == kinds.end()) kind = kinds.insert(kinds.end(), {name, 0, 0});
      kind->tasks += classes.count(i);
      kind->seconds += (span->end - span->start) * classes.count(i);
      ++span;
    }
  }
  return kinds;
}

/// The first rank of each class.
struct PlayedRanks {
  std::vector<Partition> partitions;  ///< without their tasks
  std::vector<RankTasks> tasks;
};

std::vector<RankMemory> memory_by_class(const PlayedRanks& played, const SimulatedStep& step,
                                        const WeightKeeping& keeping) {
  std::vector<RankMemory> memory;
  std::span<const Span> spans = step.timeline.spans;
  for (std::size_t i = 0; i < played.tasks.size(); ++i) {
    const std::size_t num_tasks = played.tasks[i].tasks.size();
    memory.push_back(
        memory_of(played.partitions[i], played.tasks[i], keeping, spans.first(num_tasks), step.seconds, kMemoryParts));
    spans = spans.subspan(num_tasks);
  }
  return memory;
}

std::vector<double> memory_limits(const Hardware& hardware, const RankClasses& classes) {
  std::vector<double> limits;
  for (const int rank : classes.first_ranks()) limits.push_back(hardware.device_of(rank).memory_bytes);
  return limits;
}

StepPrediction predict(LayoutPlan& plan, const Config& config, const Hardware& hardware, PlayedRanks& played) {
  const auto [compute, hosts] = ranks_on_hosts(hardware, config.threads, plan.mesh().world_size());
  const RankClasses classes = classes_of(plan.layout(), hardware, hosts);
  for (const int rank : classes.first_ranks()) {
    played.partitions.push_back(plan.partition(rank));
    played.tasks.push_back(std::move(played.partitions.back().tasks));
  }
  RunMode mode;
  mode.compute = compute;
  mode.optimizer_states = config.optimizer.num_states();
  SimulatedStep step = simulate_step(played.tasks, classes, hosts, task_seconds(hardware, played.partitions, mode));
  const WeightKeeping keeping{plan.options().techniques, plan.mesh().d(), mode.optimizer_states};
  std::vector<RankMemory> memory = memory_by_class(played, step, keeping);
  std::vector<KindTotal> kinds = kinds_of(played.tasks, classes, step.timeline);
  const std::int64_t batch = plan.options().batch;
  return {.model = config.model.source,
          .hardware = hardware.name,
          .batch = batch,
          .classes = classes,
          .step = std::move(step),
          .memory = std::move(memory),
          .memory_limits = memory_limits(hardware, classes),
          .kinds = std::move(kinds),
          .flops = played.partitions.front().summary.flops_per_sample * static_cast<double>(batch),
          .peak = hardware.others.empty() ? hardware.peaks.f32_flops : 0};
}

std::string chart_of(const StepPrediction& prediction, const PlayedRanks& played) {
  const auto name_of_task = [&](const RankTasks& rank, const Task& task) {
    const Partition& partition = played.partitions[index(prediction.classes.class_of(rank.rank))];
    return title_of(partition.by_microbatch[index(task.id.microbatch)]->graph, task);
  };
  const ChartSide simulated{"simulated", &prediction.step.timeline};
  return step_chart_json(played.tasks, std::span(&simulated, 1), prediction.classes.mesh(), name_of_task);
}

}  // namespace

int simulate_model(const Command& command, Terminal& terminal) {
  refuse_schedule_options(command);
  Config config = predicted_config(command);
  adopt_carried_layout(config);
  LayoutPlan plan(config);
  PlayedRanks played;
  const StepPrediction prediction = predict(plan, config, find_hardware(command.text("hardware")), played);
  if (command.has("html")) write_file(command.text("html"), prediction_page(prediction, chart_of(prediction, played)));
  terminal.print(command.has("json") ? prediction_json(prediction) : prediction_text(prediction, terminal.style()));
  if (command.has("html") && !command.has("json")) terminal.print(fmt::format("\n  wrote {}\n", command.text("html")));
  return exit_code::kDone;
}

}  // namespace dml
