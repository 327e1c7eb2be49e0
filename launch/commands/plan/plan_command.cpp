#include "launch/commands/plan/plan_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <map>
#include <optional>
#include <sstream>

#include "launch/atomic_file.h"
#include "launch/commands/plan/plan_measure.h"
#include "launch/commands/plan/plan_scaling.h"
#include "launch/commands/ranks_on_hosts.h"
#include "launch/cores.h"
#include "launch/failure.h"
#include "launch/hardware_file.h"
#include "launch/options/option_makers.h"
#include "launch/report/plan/plan_report.h"
#include "launch/terminal/terminal.h"
#include "runtime/data/dataset.h"
#include "runtime/model/layout_plan.h"

namespace dml {
namespace {

constexpr std::int64_t kMostPlannedRanks = 1 << 20;
constexpr std::int64_t kMostMeasured = 100;
constexpr std::int64_t kMostRows = 1'000'000;
constexpr std::int64_t kMostPlannedChunks = 64;
constexpr double kGigabyte = 1e9;
constexpr double kMostGigabytes = 1e9;
constexpr std::int64_t kUsualBatch = 16;
/// What only --measure reads.
constexpr std::string_view kMeasuredWith[] = {"isa", "device", "deadline", "gather-parts", "shape-link"};

/// The value of an option as `parse` reads it; its UsageError with the option's name before it.
template <typename Parse>
auto parsed(const Command& command, std::string_view option, Parse parse) {
  return under_name(fmt::format("--{}", option), [&] { return parse(command.text(option)); });
}

int whole_number(const Command& command, std::string_view option, int otherwise, std::int64_t most = kMostPlannedRanks,
                 std::int64_t least = 1) {
  if (!command.has(option)) return otherwise;
  return static_cast<int>(
      parsed(command, option, [&](const std::string& text) { return parse_integer(text, least, most); }));
}

/// --min-X to --max-X.
IntegerRange range_of(const Command& command, const std::string& name) {
  IntegerRange range;
  range.least = whole_number(command, "min-" + name, range.least);
  range.most = whole_number(command, "max-" + name, range.most);
  if (range.least > range.most)
    throw UsageError(fmt::format("--min-{} {} is above --max-{} {}", name, range.least, name, range.most));
  return range;
}

const ScheduleDef& schedule_named(const std::string& name) {
  try {
    const ScheduleDef& schedule = find_schedule(name);
    if (schedule.copies == 1) return schedule;
  } catch (const std::invalid_argument& error) {
    throw UsageError(fmt::format("--schedules: {}", error.what()));
  }
  throw UsageError(fmt::format("--schedules: {} keeps two copies of the model, and is not trained with", name));
}

std::vector<const ScheduleDef*> chosen_schedules(const Command& command) {
  std::vector<const ScheduleDef*> schedules;
  std::istringstream names(command.text("schedules"));
  for (std::string name; std::getline(names, name, ',');) schedules.push_back(&schedule_named(name));
  if (!schedules.empty()) return schedules;
  schedules.push_back(&find_schedule("1f1b"));
  for (const ScheduleDef* schedule : trainable_schedules()) {
    if (schedule != schedules.front()) schedules.push_back(schedule);
  }
  return schedules;
}

std::vector<SplitMode> chosen_modes(const Config& config) {
  switch (config.layout.tensor_mode) {
    case TensorMode::gather: return {SplitMode::gather};
    case TensorMode::megatron: return {SplitMode::megatron};
    case TensorMode::automatic: break;
  }
  return {SplitMode::megatron, SplitMode::gather};
}

/// From the fastest to the one that needs least memory.
std::vector<Techniques> tried_techniques(const Command& command) {
  std::vector<Recompute> recomputations(std::begin(kRecomputations), std::end(kRecomputations));
  std::vector<int> stages{0, 1};
  Techniques techniques = command.config.layout.techniques;
  if (command.has("recompute")) {
    recomputations = {parsed(command, "recompute", [](const std::string& text) {
      constexpr std::string_view kNames[] = {"none", "attention", "full"};
      return kRecomputations[parse_choice(text, kNames)];
    })};
  }
  if (command.has("zero")) stages = {whole_number(command, "zero", 0, Techniques::kMostZero, 0)};
  std::vector<Techniques> tried;
  for (const Recompute recompute : recomputations) {
    for (const int stage : stages) {
      techniques.recompute = recompute;
      techniques.zero = stage;
      tried.push_back(techniques);
    }
  }
  return tried;
}

int asked_world(const Command& command) {
  if (!command.has("world")) throw UsageError("plan: give the number of ranks, as in --world 8");
  return whole_number(command, "world", 1);
}

SearchSpace search_space(const Command& command, std::int64_t batch, int world) {
  SearchSpace space;
  space.world = world;
  space.batch = batch;
  space.d = range_of(command, "d");
  space.p = range_of(command, "p");
  space.t = range_of(command, "t");
  space.microbatches = range_of(command, "microbatches");
  space.most_chunks = whole_number(command, "max-chunks", space.most_chunks, kMostPlannedChunks);
  space.schedules = chosen_schedules(command);
  space.modes = chosen_modes(command.config);
  space.techniques = tried_techniques(command);
  return space;
}

/// A model that is to be trained, and what is known of its data.
class PlannedModel {
 public:
  explicit PlannedModel(const Config& config) : source_(config.model, config.seed) {
    batch_ = config.data.batch > 0 ? config.data.batch : std::max(source_.file().written_batch(), kUsualBatch);
    if (config.data.source.empty()) {
      source_.set_label(likely_label(source_, config.model.loss));
      return;
    }
    const auto data = open_dataset(config.data, source_.data_inputs(), config.seed);
    source_.set_data(*data);
    epoch_samples_ = data->num_samples();
    if (data->is_given_batches()) batch_ = data->given_batch_size();
  }

  const std::string& name() const { return source_.name(); }
  std::int64_t batch() const { return batch_; }
  std::int64_t epoch_samples() const { return epoch_samples_; }
  Graph graph(std::int64_t samples) const { return source_.graph(samples, true); }

 private:
  ModelSource source_;
  std::int64_t batch_ = 0;
  std::int64_t epoch_samples_ = 0;
};

/// What all layouts of so many ranks have in common: the cores of a host are shared evenly.
EstimateOptions estimate_options(const Config& config, const Hardware& hardware, std::int64_t batch, int world) {
  EstimateOptions options;
  options.batch = batch;
  options.clips = config.optimizer.clip > 0;
  options.bucket_bytes = config.layout.bucket_bytes;
  options.mode.optimizer_states = config.optimizer.num_states();
  const RanksOnHosts ranks = ranks_on_hosts(hardware, config.threads, world);
  options.mode.compute = ranks.compute;
  options.hosts = ranks.hosts;
  return options;
}

double memory_limit(const Command& command, const Hardware& hardware) {
  if (!command.has("memory-limit")) return hardware.memory_bytes;
  return kGigabyte *
         parsed(command, "memory-limit", [](const std::string& text) { return parse_real(text, 0, kMostGigabytes); });
}

/// Layouts are compared: bounds, not values.
void refuse_layout(const LayoutConfig& layout) {
  if (layout.d > 1 || layout.p > 1 || layout.t > 1)
    throw UsageError("plan chooses d, p and t: bound them with --min-d, --max-d, --min-p, --max-p, --min-t, --max-t");
  if (layout.schedule != LayoutConfig{}.schedule)
    throw UsageError(fmt::format("plan compares schedules: give --schedules {}", layout.schedule));
  if (!layout.cut.empty()) throw UsageError("plan cuts by cost for every number of stages: leave out --cut");
  if (layout.order != LayoutConfig{}.order)
    throw UsageError(fmt::format("plan knows ranks in the order {}, not {}", LayoutConfig{}.order, layout.order));
}

[[noreturn]] void refuse_all(const PlanReport& plan) {
  if (plan.found.rejected.empty())
    throw UsageError(fmt::format("plan: no d, p and t within the bounds give --world {}", plan.world));
  std::map<Obstacle, std::size_t> counts;
  for (const RejectedLayout& layout : plan.found.rejected) ++counts[layout.why];
  const auto most =
      std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  const auto example = std::find_if(plan.found.rejected.begin(), plan.found.rejected.end(),
                                    [&](const RejectedLayout& layout) { return layout.why == most->first; });
  throw UsageError(fmt::format("plan: none of {} layouts is possible; {} have {}, as d={} p={} t={}: {}",
                               plan.found.rejected.size(), most->second, name_of(most->first), example->layout.d,
                               example->layout.p, example->layout.t, example->message));
}

/// The files that are asked for; their names.
std::vector<std::string> write_files(const Command& command, const PlanReport& plan, bool all) {
  std::vector<std::string> files;
  const auto write = [&](std::string_view option, const auto& content) {
    if (!command.has(option)) return;
    write_file(command.text(option), content());
    files.push_back(command.text(option));
  };
  write("csv", [&] { return plan_csv(plan, all); });
  write("html", [&] { return plan_page(plan); });
  return files;
}

int run_plan(const Command& command, Terminal& terminal) {
  const PlanTableOptions table{.most_rows = static_cast<std::size_t>(whole_number(command, "top", 10, kMostRows)),
                               .all = command.has("all")};
  const int world = asked_world(command);
  if (command.has("scaling") && command.has("measure"))
    throw UsageError("plan: --scaling predicts, --measure tries layouts of one number of ranks: leave one of them out");
  if (!command.has("measure"))
    command.refuse_given("is of layouts that are tried: give --measure, or leave it out", kMeasuredWith);
  if (command.has("scaling")) return plan_scaling(command, world, terminal);
  const PlanReport plan = search_plan(command, world);
  if (plan.found.ranked.empty()) refuse_all(plan);
  if (command.has("measure")) {
    const int count = whole_number(command, "measure", 1, kMostMeasured);
    plan_measure(command, plan, static_cast<std::size_t>(count), terminal);
    write_files(command, plan, table.all);
    return exit_code::kDone;
  }
  const std::vector<std::string> files = write_files(command, plan, table.all);
  if (command.has("json")) {
    terminal.print(plan_json(plan, table));
    return exit_code::kDone;
  }
  terminal.print(plan_text(plan, table, terminal.style()));
  for (const std::string& file : files) terminal.print(fmt::format("  wrote {}\n", file));
  return exit_code::kDone;
}

std::vector<OwnOption> option_list() {
  return {{"world", "N", "ranks to divide the training over"},
          {"hardware", "FILE|NAME", "a file of `dmltrain calibrate`, or a preset (default: calibration.toml)"},
          {"memory-limit", "GB", "most memory of a rank, in 1e9 bytes (default: the hardware's; 0: none)"},
          {"schedules", "NAME,...", "pipeline schedules to try (default all that are trained with)"},
          {"recompute", "WHAT", "none, attention or full (default: none, and the others where memory lacks)"},
          {"zero", "STAGE", "0 to 3 (default: 0, and 1 where memory lacks)"},
          {"min-d", "N", "least replicas"},
          {"max-d", "N", "most replicas"},
          {"min-p", "N", "least pipeline positions"},
          {"max-p", "N", "most pipeline positions"},
          {"min-t", "N", "least tensor ranks"},
          {"max-t", "N", "most tensor ranks"},
          {"min-microbatches", "N", "least microbatches of a replica"},
          {"max-microbatches", "N", "most microbatches of a replica"},
          {"max-chunks", "N", "most chunks of interleaved schedules (default 4)"},
          {"measure", "K", "trains a few steps here with the best K, and says what they took"},
          {"scaling", "", "throughput of 1 to --world ranks, by d, p and t alone and together"},
          {"top", "K", "layouts to show (default 10)"},
          {"all", "", "shows all layouts, also those that are not possible, and why"},
          {"csv", "FILE", "writes the table"},
          {"html", "FILE", "writes a page: time over memory, and the table"},
          {"json", "", "prints JSON"}};
}

}  // namespace

PlanReport search_plan(const Command& command, int world) {
  refuse_layout(command.config.layout);
  const Hardware hardware = find_hardware(command.text("hardware", "calibrated"));
  if (!hardware.others.empty())
    throw UsageError(fmt::format(
        "plan: {} has devices of several kinds, which `dmltrain simulate` predicts and plan does not", hardware.name));
  if (!hardware.links.empty())
    throw UsageError(
        fmt::format("plan: {} has links between some ranks alone, which `dmltrain simulate` predicts and plan does not",
                    hardware.name));
  hardware.check_world(world);
  const PlannedModel model(command.config);
  const SearchSpace space = search_space(command, model.batch(), world);
  EstimateOptions options = estimate_options(command.config, hardware, model.batch(), space.world);
  options.memory_limit = memory_limit(command, hardware);
  const auto begin = std::chrono::steady_clock::now();
  const auto share = static_cast<std::uint64_t>(std::max<std::int64_t>(1, model.batch() / space.world));
  PlanReport plan;
  plan.found = search_layouts([&model](std::int64_t samples) { return model.graph(samples); },
                              static_cast<std::int64_t>(std::bit_floor(share)), hardware, space, options,
                              estimate_options(command.config, hardware, model.batch(), 1),
                              static_cast<int>(own_cores().size()));
  plan.search_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  plan.model = model.name();
  plan.hardware = hardware.name;
  plan.world = space.world;
  plan.batch = model.batch();
  plan.memory_limit = options.memory_limit;
  plan.epoch_samples = model.epoch_samples();
  return plan;
}

CommandSpec plan_command() {
  return {.name = "plan",
          .arguments = "",
          .summary = "the fastest layouts, predicted",
          .on_preset = true,
          .reads = {"Model", "Data", "Optimizer", "tensor-mode", "sequence-parallel", "dtype", "bucket-mb", "seed",
                    "threads", "isa", "device", "deadline", "gather-parts", "shape-link"},
          .options = option_list(),
          .run = run_plan};
}

}  // namespace dml
