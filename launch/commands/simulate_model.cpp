#include "launch/commands/simulate_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "launch/failure.h"
#include "launch/hardware_file.h"
#include "launch/options/option_makers.h"
#include "launch/options/usage_error.h"
#include "launch/terminal/number_text.h"
#include "launch/terminal/terminal.h"
#include "launch/terminal/text_table.h"
#include "models/index.h"
#include "parallel/compare/compare.h"
#include "parallel/cost/task_cost.h"
#include "parallel/rank_classes.h"
#include "parallel/simulate/step_simulation.h"
#include "runtime/model/carried_plan.h"
#include "runtime/model/layout_plan.h"

namespace dml {
namespace {

using Json = nlohmann::ordered_json;
using Align = TextTable::Align;

/// Of each class one rank is played.
constexpr int kMostClasses = 4096;
constexpr std::size_t kShownClasses = 32;

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

/// A kind of task, over all ranks.
struct KindTotal {
  std::string name;
  std::int64_t tasks = 0;
  double seconds = 0;
};

struct Prediction {
  std::string model, hardware;
  SimulatedStep step;  ///< of the first rank of each class
  RankClasses classes;
  std::vector<KindTotal> kinds;
  std::int64_t batch = 0;
  double flops = 0;  ///< of the model, all ranks
  double peak = 0;   ///< FLOP/s of a rank; 0: unknown

  int num_ranks() const { return classes.mesh().world_size(); }
  double flops_per_s() const { return flops / step.seconds; }
};

/// Threads of a rank, and the hosts that the ranks share.
std::pair<int, Hosts> placed(const Hardware& hardware, int asked_threads, int world) {
  if (hardware.cores_per_host == 0) return {std::max(asked_threads, 1), hosts_of(hardware, 1, 1)};
  const int per_host = hardware.ranks_per_host > 0 ? std::min(hardware.ranks_per_host, world) : world;
  const int threads = asked_threads > 0 ? asked_threads : std::max(1, hardware.cores_per_host / per_host);
  return {threads, hosts_of(hardware, per_host, static_cast<double>(hardware.cores_per_host) / threads)};
}

RankPlaces places_on(const Hardware& hardware, const Hosts& hosts) {
  RankPlaces places;
  if (hardware.ranks_per_host > 0) places.blocks.push_back(hardware.ranks_per_host);
  for (const LinkLevel& level : hardware.levels) places.blocks.push_back(level.ranks);
  if (hosts.are_shared()) places.ranks_per_host = hosts.ranks_per_host;
  return places;
}

RankClasses classes_of(ModelLayout& layout, const Hardware& hardware, const Hosts& hosts) {
  const Placement placement = placement_of(layout.mesh(), layout.options());
  RankClasses classes = divided_by_places(layout.classes(), placement, places_on(hardware, hosts));
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

Prediction predict(const Config& given, const Hardware& hardware) {
  Config config = given;
  adopt_carried_layout(config);
  LayoutPlan plan(config);
  const auto [threads, hosts] = placed(hardware, config.threads, plan.mesh().world_size());
  const RankClasses classes = classes_of(plan.layout(), hardware, hosts);
  std::vector<Partition> partitions;
  std::vector<RankTasks> ranks;
  for (const int rank : classes.first_ranks()) {
    partitions.push_back(plan.partition(rank));
    ranks.push_back(std::move(partitions.back().tasks));
  }
  RunMode mode;
  mode.compute.threads = threads;
  mode.optimizer_states = config.optimizer.num_states();
  SimulatedStep step = simulate_step(ranks, classes, hosts, task_seconds(hardware, partitions, mode));
  std::vector<KindTotal> kinds = kinds_of(ranks, classes, step.timeline);
  const std::int64_t batch = plan.options().batch;
  const double flops = partitions.front().summary.flops_per_sample * static_cast<double>(batch);
  return {config.model.source, hardware.name, std::move(step), classes,
          std::move(kinds),    batch,         flops,           hardware.peaks.f32_flops};
}

/// "3", or "0-6" where there are others between that may be of other classes.
std::string indices_text(const IndexClasses& classes, int first) {
  const int of = classes.of[index(first)];
  const auto last = std::find(classes.of.rbegin(), classes.of.rend(), of);
  const auto last_index = static_cast<int>(classes.of.rend() - last) - 1;
  return last_index == first ? std::to_string(first) : fmt::format("{}-{}", first, last_index);
}

std::string place_text(const RankClasses& classes, int rank) {
  const Coordinate at = classes.mesh().coordinate(rank);
  return fmt::format("d{} p{} t{}", indices_text(classes.replicas(), at.d), at.p,
                     indices_text(classes.tensors(), at.t));
}

TextTable parts_table(const Prediction& p) {
  TextTable table({{"rank"},
                   {"alike"},
                   {"place", Align::left},
                   {"step ms"},
                   {"compute"},
                   {"core wait"},
                   {"exposed comm"},
                   {"bubble"}});
  for (std::size_t i = 0; i < std::min(p.step.parts.size(), kShownClasses); ++i) {
    const StepParts& s = p.step.parts[i];
    const int rank = p.classes.first_ranks()[i];
    std::vector<std::string> row{std::to_string(rank), std::to_string(p.classes.count(static_cast<int>(i))),
                                 place_text(p.classes, rank)};
    for (const double seconds : {s.step, s.compute, s.core_wait, s.exposed_comm, s.bubble})
      row.push_back(fmt::format("{:.3f}", seconds * kMsPerSecond));
    table.add_row(std::move(row));
  }
  return table;
}

std::string page(const Prediction& p, Style style) {
  std::string text = fmt::format("{} {} on {}\n\n", style.heading("Predicted step:"), p.model, p.hardware);
  const double flops_of_rank = p.flops_per_s() / p.num_ranks();
  text += fmt::format("  {:.3f} ms a step, {} samples/s, {} a rank", p.step.seconds * kMsPerSecond,
                      scaled_text(static_cast<double>(p.batch) / p.step.seconds), scaled_text(flops_of_rank, "FLOP/s"));
  if (p.peak > 0) text += fmt::format(", {:.1f} % of its peak", 100 * flops_of_rank / p.peak);
  text += fmt::format("\n  batch {}, {} ranks; one of each class of alike ranks is played: {}\n\n", p.batch,
                      p.num_ranks(), p.classes.size());
  text += parts_table(p).to_string(style);
  if (p.step.parts.size() > kShownClasses) text += fmt::format("  and {} more\n", p.step.parts.size() - kShownClasses);
  TextTable kinds({{"kind", Align::left}, {"tasks"}, {"ms per rank"}});
  for (const KindTotal& kind : p.kinds) {
    const double seconds = kind.seconds / p.num_ranks();
    kinds.add_row({kind.name, std::to_string(kind.tasks), fmt::format("{:.3f}", seconds * kMsPerSecond)});
  }
  return text + "\n" + kinds.to_string(style);
}

std::string json(const Prediction& p) {
  Json json{{"version", 2},
            {"model", p.model},
            {"hardware", p.hardware},
            {"batch", p.batch},
            {"ranks", p.num_ranks()},
            {"step_ms", p.step.seconds * kMsPerSecond},
            {"flops_per_s", p.flops_per_s()},
            {"classes", Json::array()},
            {"kinds", Json::array()}};
  for (std::size_t i = 0; i < p.step.parts.size(); ++i) {
    const StepParts& s = p.step.parts[i];
    const Coordinate at = p.classes.mesh().coordinate(p.classes.first_ranks()[i]);
    json["classes"].push_back({{"first_rank", p.classes.first_ranks()[i]},
                               {"ranks", p.classes.count(static_cast<int>(i))},
                               {"d", at.d},
                               {"p", at.p},
                               {"t", at.t},
                               {"step_ms", s.step * kMsPerSecond},
                               {"compute_ms", s.compute * kMsPerSecond},
                               {"core_wait_ms", s.core_wait * kMsPerSecond},
                               {"exposed_comm_ms", s.exposed_comm * kMsPerSecond},
                               {"bubble_ms", s.bubble * kMsPerSecond}});
  }
  for (const KindTotal& kind : p.kinds) {
    json["kinds"].push_back(
        {{"name", kind.name}, {"tasks", kind.tasks}, {"ms", kind.seconds / p.num_ranks() * kMsPerSecond}});
  }
  return json.dump(1) + "\n";
}

}  // namespace

int simulate_model(const Command& command, Terminal& terminal) {
  const Prediction prediction = predict(predicted_config(command), find_hardware(command.text("hardware")));
  terminal.print(command.has("json") ? json(prediction) : page(prediction, terminal.style()));
  return exit_code::kDone;
}

}  // namespace dml
