#include "launch/commands/compare_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "launch/atomic_file.h"
#include "launch/failure.h"
#include "launch/hardware_file.h"
#include "launch/report/compare_report.h"
#include "launch/report/run/run_page.h"
#include "launch/report/run/step_chart.h"
#include "launch/report/timeline_file.h"
#include "launch/terminal/terminal.h"
#include "models/op.h"
#include "parallel/cost/task_cost.h"
#include "parallel/simulate/step_simulation.h"
#include "runtime/model/layout_plan.h"

namespace dml {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kOutliers = 10;
constexpr std::size_t kWarmUpSteps = 2;

/// A run folder as it lies on disk.
struct RunFiles {
  Config config;
  TimelineFile timeline;
  std::vector<double> step_seconds;
  StepParts parts;  ///< of the last step, mean of the ranks
};

void read_steps(const std::string& path, RunFiles& run) {
  std::ifstream file(path);
  if (!file) throw UsageError(fmt::format("'{}' cannot be read: is this the folder of a run?", path));
  std::size_t number = 0;
  for (std::string line; std::getline(file, line); ++number) {
    try {
      const auto json = nlohmann::json::parse(line);
      const auto seconds = [&](const char* key) { return json.at(key).get<double>() / 1e3; };
      if (number >= kWarmUpSteps) run.step_seconds.push_back(seconds("step_ms"));
      run.parts = {seconds("step_ms"), seconds("compute_ms"), seconds("core_wait_ms"), seconds("exposed_comm_ms"),
                   seconds("bubble_ms")};
    } catch (const nlohmann::json::exception& error) {
      throw UsageError(fmt::format("'{}' line {}: {}", path, number + 1, error.what()));
    }
  }
}

RunFiles read_run(const std::string& folder) {
  const auto file = [&](const char* name) { return (fs::path(folder) / name).string(); };
  if (!fs::is_directory(folder)) throw UsageError(fmt::format("compare: '{}' is no folder of a run", folder));
  RunFiles run;
  run.config = parse_command_line(std::vector<std::string>{"--config", file("config.toml")}, {}).config;
  run.timeline = read_timeline(file("measured.json"));
  read_steps(file("steps.jsonl"), run);
  return run;
}

class Comparer {
 public:
  Comparer(const std::string& folder, RunFiles run) : folder_(folder), run_(std::move(run)), plan_(run_.config) {
    const int world = plan_.mesh().world_size();
    if (static_cast<std::size_t>(world) != run_.timeline.step.size()) {
      throw UsageError(fmt::format("compare: config.toml lays out {} ranks, measured.json has {}", world,
                                   run_.timeline.step.size()));
    }
    for (int rank = 0; rank < world; ++rank) {
      partitions_.push_back(plan_.partition(rank));
      tasks_.push_back(partitions_.back().tasks);
    }
  }

  /// By `hardware`, or by the measured seconds of each task where it is null.
  Comparison compare(const Hardware* hardware) {
    Comparison c;
    c.run = folder_;
    c.joined = join(tasks_, run_.timeline.step);
    for (const RankTasks& rank : tasks_) c.num_generated += rank.tasks.size();
    const Timeline& measured = c.joined.measured;
    c.by = hardware != nullptr ? hardware->name : "replay of the measured tasks";
    SimulatedStep step = hardware != nullptr ? simulate(*hardware) : replay(measured);
    c.predicted_step = step.seconds;
    for (const Span& span : measured.spans) c.measured_step = std::max(c.measured_step, span.end);
    c.step_seconds = run_.step_seconds;
    c.parts = {mean_of(step.parts), run_.parts};
    c.kinds = compare_groups(tasks_, step.timeline, measured,
                             [](const RankTasks&, const Task& task) { return kind_of(task); });
    c.families = compare_groups(tasks_, step.timeline, measured,
                                [this](const RankTasks& rank, const Task& task) { return operation_of(rank, task); });
    std::sort(c.families.begin(), c.families.end(),
              [](const ComparedGroup& a, const ComparedGroup& b) { return a.measured > b.measured; });
    c.path = shares(critical_path(tasks_, plan_.mesh(), step.timeline), critical_path(tasks_, plan_.mesh(), measured));
    for (const ComparedTask& task : largest_differences(tasks_, step.timeline, measured, kOutliers)) {
      const Task& t = tasks_[static_cast<std::size_t>(task.rank)].tasks[static_cast<std::size_t>(task.task)];
      c.outliers.push_back({task, t.id.to_string(), name_of_task(task.rank, t)});
    }
    c.predicted = std::move(step.timeline);
    return c;
  }

  /// Both sides of the comparison, for the page.
  std::string step_chart(const Comparison& c) const {
    const std::array<ChartSide, 2> sides{{{"simulated", &c.predicted}, {"measured", &c.joined.measured}}};
    return step_chart_json(tasks_, sides, plan_.mesh(),
                           [this](const RankTasks& rank, const Task& task) { return name_of_task(rank.rank, task); });
  }

 private:
  SimulatedStep replay(const Timeline& measured) {
    // The measured seconds hold what sharing cores cost already.
    const int world = plan_.mesh().world_size();
    return simulate_step(tasks_, plan_.mesh(), {world, static_cast<double>(world)},
                         measured_seconds(tasks_, measured, plan_.mesh()));
  }

  SimulatedStep simulate(const Hardware& hardware) {
    const RunPlace& place = run_.timeline.place;
    RunMode mode;
    mode.compute.threads = place.threads_per_rank;
    mode.optimizer_states = run_.config.optimizer.num_states();
    const Hosts hosts{place.ranks_per_host,
                      static_cast<double>(place.usable_cores) / static_cast<double>(place.threads_per_rank)};
    return simulate_step(tasks_, plan_.mesh(), hosts, task_seconds(hardware, partitions_, mode));
  }

  static StepParts mean_of(const std::vector<StepParts>& ranks) {
    StepParts mean;
    const auto n = static_cast<double>(ranks.size());
    for (const StepParts& rank : ranks) {
      for (const auto part :
           {&StepParts::step, &StepParts::compute, &StepParts::core_wait, &StepParts::exposed_comm, &StepParts::bubble})
        mean.*part += rank.*part / n;
    }
    return mean;
  }

  const Graph& graph_of(int rank, const Task& task) const {
    return partitions_[static_cast<std::size_t>(rank)]
        .by_microbatch[static_cast<std::size_t>(task.id.microbatch)]
        ->graph;
  }

  std::string operation_of(const RankTasks& rank, const Task& task) const {
    if (task.queue != QueueId::compute || task.node == kNone) return kind_of(task);
    return std::string(graph_of(rank.rank, task).node(task.node).op->name);
  }

  std::string name_of_task(int rank, const Task& task) const {
    if (task.node != kNone) return graph_of(rank, task).node(task.node).name;
    if (task.value != kNone) return graph_of(rank, task).value(task.value).name;
    return kind_of(task);
  }

  std::vector<PathShare> shares(const std::vector<PathStep>& predicted, const std::vector<PathStep>& measured) const {
    std::map<std::string, PathShare> shares;
    const auto add = [&](const std::vector<PathStep>& path, double PathShare::*side) {
      for (const PathStep& step : path) {
        const Task& task = tasks_[static_cast<std::size_t>(step.rank)].tasks[static_cast<std::size_t>(step.task)];
        shares[kind_of(task)].*side += step.seconds;
      }
    };
    add(predicted, &PathShare::predicted);
    add(measured, &PathShare::measured);
    std::vector<PathShare> result;
    for (auto& [what, share] : shares) {
      share.what = what;
      result.push_back(share);
    }
    std::sort(result.begin(), result.end(),
              [](const PathShare& a, const PathShare& b) { return a.measured > b.measured; });
    return result;
  }

  std::string folder_;
  RunFiles run_;
  LayoutPlan plan_;
  std::vector<Partition> partitions_;
  std::vector<RankTasks> tasks_;
};

int run_compare(const Command& command, Terminal& terminal) {
  const std::string& folder = command.arguments.front();
  Comparer comparer(folder, read_run(folder));
  std::optional<Hardware> hardware;
  if (command.has("hardware")) hardware = find_hardware(command.text("hardware"));
  const Comparison comparison = comparer.compare(hardware ? &*hardware : nullptr);
  const std::string json = comparison_json(comparison);
  write_file((fs::path(folder) / "compare.json").string(), json);
  write_file((fs::path(folder) / "compare.html").string(), compared_page(comparison, comparer.step_chart(comparison)));
  terminal.print(command.has("json") ? json : comparison_page(comparison, terminal.style()));
  return comparison.agrees() ? exit_code::kDone : exit_code::kCheckFailed;
}

}  // namespace

CommandSpec compare_command() {
  return {.name = "compare",
          .arguments = "RUN",
          .summary = "the generated and the measured step",
          .least_arguments = 1,
          .most_arguments = 1,
          .options = {{"hardware", "FILE|NAME",
                       "predicts by this hardware: a file of `dmltrain calibrate` or a preset; without it the measured "
                       "tasks are replayed"},
                      {"json", "", "prints compare.json instead of the tables"}},
          .run = run_compare};
}

}  // namespace dml
