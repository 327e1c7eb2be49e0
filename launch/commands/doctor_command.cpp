#include "launch/commands/doctor_command.h"

#include <algorithm>

#include "kernels/isa.h"
#include "launch/cores.h"
#include "launch/doctor/checks.h"
#include "launch/doctor/doctor_report.h"
#include "launch/doctor/examination.h"
#include "launch/doctor/host_probe.h"
#include "launch/doctor/software_probe.h"
#include "launch/failure.h"
#include "launch/hardware_file.h"
#include "launch/session.h"
#include "launch/terminal/terminal.h"

namespace dml {
namespace {

/// Without a launcher ranks are threads: as many as d·p·t says, else one for each core, so that there are links.
World world_of(const Config& config, const LauncherEnvironment& launcher) {
  constexpr int kFewestRanks = 2, kMostRanks = 8;
  World world = resolve_world(config, launcher, mpi_available());
  if (world.processes || world.size > 1) return world;
  world.size = world.ranks_on_node = std::clamp(static_cast<int>(own_cores().size()), kFewestRanks, kMostRanks);
  return world;
}

ExaminationPlan plan_examination(const Command& command, const World& world, const LauncherEnvironment& launcher) {
  ExaminationPlan plan;
  if (command.has("hardware")) plan.hardware = find_hardware(command.text("hardware"));
  if (!command.config.isa.empty()) cap_isa(parse_isa(command.config.isa));
  if (!command.config.run.empty()) plan.run_folder = command.config.run;
  plan.device = command.config.device;
  plan.transfer_deadline = std::chrono::milliseconds(static_cast<std::int64_t>(command.config.deadline_s * 1e3 / 2));
  plan.host = probe_host();
  plan.host.limits = probe_limits();
  probe_software(plan.host);
  const CorePlan cores = plan_cores(command.config.threads, world.ranks_on_node, launcher);
  plan.rank.host = plan.host.name;
  plan.rank.ranks_on_host = world.ranks_on_node;
  plan.rank.cores = own_cores();
  plan.rank.threads = cores.threads;
  plan.rank.notes = cores.notes;
  plan.rank.environment = probe_environment();
  return plan;
}

int run_doctor(const Command& command, Terminal& terminal) {
  const LauncherEnvironment launcher = launcher_environment();
  const World world = world_of(command.config, launcher);
  const ExaminationPlan plan = plan_examination(command, world, launcher);
  Config config = command.config;
  config.threads = plan.rank.threads;
  int code = exit_code::kDone;
  run_ranks(config, world, [&](Communicator& comm) {
    const DoctorFacts facts = examine(comm, plan);
    if (comm.rank() != 0) return;
    const Diagnoses findings = check_all(facts);
    terminal.print(command.has("json") ? doctor_json(facts, findings) : doctor_text(facts, findings, terminal.style()));
    if (count(findings, Severity::error) > 0) code = exit_code::kCheckFailed;
  });
  return code;
}

}  // namespace

CommandSpec doctor_command() {
  return {.name = "doctor",
          .arguments = "",
          .summary = "what is here, and what is wrong",
          .on_every_rank = true,
          // The line of the training to come may be given as it is.
          .reads = {"Model", "Data", "Planned layout", "Layout", "Optimizer", "Run", "Communication"},
          .options = {{"json", "", "facts and findings for programs"},
                      {"hardware", "NAME", "what collectives should take (calibrated:FILE)"}},
          .run = run_doctor};
}

}  // namespace dml
