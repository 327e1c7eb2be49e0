#include "launch/commands/simulate_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "launch/failure.h"
#include "launch/hardware_file.h"
#include "launch/options/option_makers.h"
#include "launch/terminal/number_text.h"
#include "launch/terminal/terminal.h"
#include "launch/terminal/text_table.h"
#include "parallel/compare/compare.h"
#include "parallel/cost/task_cost.h"
#include "parallel/simulate/step_simulation.h"
#include "runtime/model/layout_plan.h"

namespace dml {
namespace {

using Json = nlohmann::ordered_json;
using Align = TextTable::Align;

/// Every rank is played by itself.
constexpr int kMostPlayedRanks = 1024;
constexpr std::size_t kShownRanks = 16;

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

struct Prediction {
  std::string model, hardware;
  SimulatedStep step;
  std::vector<RankTasks> ranks;
  std::vector<Coordinate> places;
  std::int64_t batch = 0;
  double flops = 0;  ///< of the model, all ranks
  double peak = 0;   ///< FLOP/s of a rank; 0: unknown
  int threads = 1;
};

/// Threads of a rank, and the hosts that the ranks share.
std::pair<int, Hosts> placed(const Hardware& hardware, int asked_threads, int world) {
  if (hardware.cores_per_host == 0) return {std::max(asked_threads, 1), {1, 1}};
  const int per_host = hardware.ranks_per_host > 0 ? std::min(hardware.ranks_per_host, world) : world;
  const int threads = asked_threads > 0 ? asked_threads : std::max(1, hardware.cores_per_host / per_host);
  return {threads, {per_host, static_cast<double>(hardware.cores_per_host) / threads}};
}

Prediction predict(const Config& config, const Hardware& hardware) {
  LayoutPlan plan(config);
  const int world = plan.mesh().world_size();
  if (world > kMostPlayedRanks) {
    throw UsageError(fmt::format("simulate --hardware plays each of up to {} ranks, not {}", kMostPlayedRanks, world));
  }
  Prediction result;
  std::vector<Partition> partitions;
  for (int rank = 0; rank < world; ++rank) {
    partitions.push_back(plan.partition(rank));
    result.ranks.push_back(partitions.back().tasks);
    result.places.push_back(partitions.back().at);
  }
  const auto [threads, hosts] = placed(hardware, config.threads, world);
  RunMode mode;
  mode.compute.threads = threads;
  mode.optimizer_states = config.optimizer.num_states();
  result.step = simulate_step(result.ranks, plan.mesh(), hosts, task_seconds(hardware, partitions, mode));
  result.model = config.model.source;
  result.hardware = hardware.name;
  result.batch = plan.options().batch;
  result.flops = partitions.front().summary.flops_per_sample * static_cast<double>(result.batch);
  result.peak = hardware.peaks.f32_flops;
  result.threads = threads;
  return result;
}

std::vector<ComparedGroup> kinds_of(const Prediction& p) {
  return compare_groups(p.ranks, p.step.timeline, p.step.timeline,
                        [](const RankTasks&, const Task& task) { return kind_of(task); });
}

std::string page(const Prediction& p, Style style) {
  const auto ranks = static_cast<double>(p.ranks.size());
  std::string text = fmt::format("{} {} on {}\n\n", style.heading("Predicted step:"), p.model, p.hardware);
  text += fmt::format("  {:.3f} ms a step, {} samples/s, {} a rank", p.step.seconds * kMsPerSecond,
                      scaled_text(static_cast<double>(p.batch) / p.step.seconds),
                      scaled_text(p.flops / p.step.seconds / ranks, "FLOP/s"));
  if (p.peak > 0) text += fmt::format(", {:.1f} % of its peak", 100 * p.flops / p.step.seconds / ranks / p.peak);
  text += fmt::format("\n  batch {}, {} ranks\n\n", p.batch, p.ranks.size());
  TextTable parts(
      {{"rank"}, {"place", Align::left}, {"step ms"}, {"compute"}, {"core wait"}, {"exposed comm"}, {"bubble"}});
  for (std::size_t i = 0; i < std::min(p.ranks.size(), kShownRanks); ++i) {
    const StepParts& s = p.step.parts[i];
    const auto& at = p.places[i];
    std::vector<std::string> row{std::to_string(i), fmt::format("d{} p{} t{}", at.d, at.p, at.t)};
    for (const double seconds : {s.step, s.compute, s.core_wait, s.exposed_comm, s.bubble})
      row.push_back(fmt::format("{:.3f}", seconds * kMsPerSecond));
    parts.add_row(std::move(row));
  }
  text += parts.to_string(style);
  if (p.ranks.size() > kShownRanks) text += fmt::format("  and {} more\n", p.ranks.size() - kShownRanks);
  TextTable kinds({{"kind, per rank", Align::left}, {"tasks"}, {"ms"}});
  for (const ComparedGroup& kind : kinds_of(p))
    kinds.add_row({kind.name, std::to_string(kind.count), fmt::format("{:.3f}", kind.predicted * kMsPerSecond)});
  return text + "\n" + kinds.to_string(style);
}

std::string json(const Prediction& p) {
  Json json{{"version", 1},
            {"model", p.model},
            {"hardware", p.hardware},
            {"batch", p.batch},
            {"step_ms", p.step.seconds * kMsPerSecond},
            {"flops_per_s", p.flops / p.step.seconds},
            {"ranks", Json::array()},
            {"kinds", Json::array()}};
  for (std::size_t i = 0; i < p.ranks.size(); ++i) {
    const StepParts& s = p.step.parts[i];
    json["ranks"].push_back({{"rank", i},
                             {"step_ms", s.step * kMsPerSecond},
                             {"compute_ms", s.compute * kMsPerSecond},
                             {"core_wait_ms", s.core_wait * kMsPerSecond},
                             {"exposed_comm_ms", s.exposed_comm * kMsPerSecond},
                             {"bubble_ms", s.bubble * kMsPerSecond}});
  }
  for (const ComparedGroup& kind : kinds_of(p))
    json["kinds"].push_back({{"name", kind.name}, {"tasks", kind.count}, {"ms", kind.predicted * kMsPerSecond}});
  return json.dump(1) + "\n";
}

}  // namespace

int simulate_model(const Command& command, Terminal& terminal) {
  const Prediction prediction = predict(predicted_config(command), find_hardware(command.text("hardware")));
  terminal.print(command.has("json") ? json(prediction) : page(prediction, terminal.style()));
  return exit_code::kDone;
}

}  // namespace dml
