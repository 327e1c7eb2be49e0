#include "launch/commands/simulate_command.h"

#include <fmt/format.h>

#include <stdexcept>

#include "launch/atomic_file.h"
#include "launch/commands/simulate_model.h"
#include "launch/failure.h"
#include "launch/options/simulate_options.h"
#include "launch/report/simulate/schedule_page.h"
#include "launch/report/simulate/schedule_report.h"
#include "launch/terminal/terminal.h"

namespace dml {
namespace {

constexpr int kDefaultWidth = 100;

SimulatedSchedule made(const RequestedSchedule& requested, const PipelineSettings& settings) {
  if (requested.file) {
    const ParsedSchedule& file = *requested.file;
    Pipeline pipeline{.placement = file.placement, .microbatches = file.microbatches, .latency = settings.latency};
    pipeline.costs = with_stages(settings.model, file.placement.num_stages());
    return {.name = requested.name, .pipeline = std::move(pipeline), .orders = file.orders, .times = {}};
  }
  const ScheduleDef& schedule = find_schedule(requested.name);
  Pipeline pipeline = pipeline_of(schedule, settings);
  std::vector<Order> orders = schedule.orders(pipeline);
  validate(orders, pipeline.placement, pipeline.microbatches, schedule.copies);
  return {.name = requested.name,
          .pipeline = std::move(pipeline),
          .copies = schedule.copies,
          .orders = std::move(orders),
          .times = {}};
}

/// A message about a schedule says which.
SimulatedSchedule simulated(const RequestedSchedule& requested, const PipelineSettings& settings) {
  try {
    SimulatedSchedule schedule = made(requested, settings);
    schedule.times = simulate(schedule.orders, schedule.pipeline, schedule.copies);
    return schedule;
  } catch (const std::invalid_argument& error) {
    throw UsageError(fmt::format("{}: {}", requested.name, error.what()));
  }
}

std::string emitted(const SimulatedSchedule& schedule) {
  return actions_text(schedule.orders, schedule.pipeline.placement, schedule.pipeline.microbatches, schedule.copies);
}

int run_simulate(const Command& command, Terminal& terminal) {
  if (command.has("hardware")) return simulate_model(command, terminal);
  command.refuse_given("is of a model's step: say on what machine, by --hardware, or leave it out");
  const SimulateOptions options = simulate_options(command);
  std::vector<SimulatedSchedule> schedules;
  for (const RequestedSchedule& requested : options.schedules)
    schedules.push_back(simulated(requested, options.settings));
  if (!options.html.empty()) write_file(options.html, schedule_page(schedules, options.settings));
  if (options.emits_actions) {
    terminal.print(emitted(schedules.front()));
  } else if (options.json) {
    terminal.print(schedule_json(schedules));
  } else {
    terminal.print(schedule_text(schedules, terminal.width() > 0 ? terminal.width() : kDefaultWidth, terminal.style()));
    if (!options.html.empty()) terminal.print(fmt::format("\nwrote {}\n", options.html));
  }
  return exit_code::kDone;
}

}  // namespace

CommandSpec simulate_command() {
  return {.name = "simulate",
          .arguments = "[FILE.toml]",
          .summary = "a schedule, or a step on hardware",
          .most_arguments = 1,
          .on_preset = true,
          .reads = {"Model", "Data", "Layout", "Optimizer", "seed", "threads"},
          .options = simulate_option_table(),
          .run = run_simulate};
}

}  // namespace dml
