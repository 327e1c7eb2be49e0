#include "launch/cluster/job_script.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

namespace dml {
namespace {

constexpr std::size_t kLineWidth = 100;
constexpr std::string_view kSafeCharacters = "-_./:=,+@%^";

std::string plural(int count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

/// The variable that names the job as a whole: an array's tasks share theirs.
std::string_view job_variable(const JobRequest& request) {
  return request.chain > 0 ? "SLURM_ARRAY_JOB_ID" : "SLURM_JOB_ID";
}

std::string head(const JobRequest& request) {
  const std::string devices =
      request.gpus_per_node > 0 ? fmt::format(" with {}", plural(request.gpus_per_node, "GPU")) : "";
  std::string text = fmt::format("#!/bin/bash\n# dmltrain: {} on {}{}, {}. Written by `dmltrain submit`; for sbatch.\n",
                                 plural(request.nodes * request.tasks_per_node, "rank"), plural(request.nodes, "node"),
                                 request.nodes > 1 && !devices.empty() ? devices + " each" : devices, request.layout);
  for (const std::string& note : request.notes) text += fmt::format("# note: {}\n", note);
  return text;
}

std::string directive(std::string_view option, std::string_view value) {
  return value.empty() ? "" : fmt::format("#SBATCH --{}={}\n", option, value);
}

std::string number_directive(std::string_view option, int value) {
  return value == 0 ? "" : directive(option, std::to_string(value));
}

std::string resources(const JobRequest& request) {
  std::string text = directive("job-name", request.name) + directive("partition", request.partition) +
                     directive("account", request.account) + directive("qos", request.qos) +
                     directive("constraint", request.constraint) + number_directive("nodes", request.nodes) +
                     number_directive("ntasks-per-node", request.tasks_per_node) +
                     number_directive("gpus-per-node", request.gpus_per_node) +
                     number_directive("cpus-per-task", request.cpus_per_task) + directive("time", request.time);
  for (const std::string& option : request.sbatch) text += fmt::format("#SBATCH --{}\n", option);
  return text;
}

std::string restarts(const JobRequest& request) {
  std::string text = fmt::format(
      "# A job that starts again goes on in the same log.\n#SBATCH --output={}\n#SBATCH --open-mode=append\n"
      "# After preemption or the loss of a node Slurm starts it again.\n#SBATCH --requeue\n"
      "# So long before the time limit this script gets SIGUSR1, and the training saves.\n"
      "#SBATCH --signal=B:USR1@{}\n",
      job_log(request, request.chain > 0 ? "%A" : "%j"), request.grace_seconds);
  if (request.chain > 0) {
    text += fmt::format(
        "# Jobs that follow each other, each from where the one before it stopped.\n"
        "#SBATCH --array=1-{}%1\n",
        request.chain);
  }
  return text;
}

std::string module_lines(const JobRequest& request) {
  if (request.modules.empty()) return "";
  std::vector<std::string> words;
  std::transform(request.modules.begin(), request.modules.end(), std::back_inserter(words), shell_word);
  return fmt::format("\nmodule purge\nmodule load {}\n", fmt::join(words, " "));
}

std::string names(const JobRequest& request) {
  const std::string run = request.run.empty() ? fmt::format("runs/{}-$job", request.name) : shell_word(request.run);
  std::string text = fmt::format(
      "\nset -u\njob=${}\nlog={}\n# Shared by every start of this job: each goes on from the newest checkpoint in it.\n"
      "run={}\n",
      job_variable(request), job_log(request, "$job"), run);
  if (request.resume.empty()) return text;
  return text + fmt::format(
                    "resume=auto\n# The first start has none, and goes on from another run's.\n"
                    "[[ -d $run/checkpoints ]] || resume={}\n",
                    shell_word(request.resume));
}

std::string environment(const JobRequest& request) {
  std::vector<EnvironmentSetting> settings;
  if (request.launcher == JobLauncher::mpirun) {
    settings.push_back({"OMPI_MCA_orte_execute_quiet", "1", "else mpirun adds ten lines of its own to an error"});
  }
  if (request.gpus_per_node > 0)
    settings.push_back({"NCCL_DEBUG", "WARN", "NCCL says in the log what it could not use"});
  if (request.nodes > 1) {
    const auto more = fabric_settings(request.fabric, request.interface, request.gpus_per_node > 0);
    settings.insert(settings.end(), more.begin(), more.end());
  }
  std::string text = settings.empty() ? "" : "\n";
  for (const EnvironmentSetting& setting : settings)
    text += fmt::format("export {}={}  # {}\n", setting.name, shell_word(setting.value), setting.reason);
  return text;
}

std::string pyxis_options(const JobRequest& request) {
  std::vector<std::string> mounts{"$PWD:$PWD"};
  mounts.insert(mounts.end(), request.mounts.begin(), request.mounts.end());
  return fmt::format("launch+=(--container-image={} --container-mounts=\"{}\" --container-workdir=\"$PWD\")\n",
                     shell_word(request.container), fmt::join(mounts, ","));
}

std::string apptainer_words(const JobRequest& request) {
  std::string text = "launch+=(apptainer exec";
  if (request.gpus_per_node > 0) text += " --nv";
  for (const std::string& mount : request.mounts) text += fmt::format(" --bind {}", shell_word(mount));
  return text + fmt::format(" --pwd \"$PWD\" {})\n", shell_word(request.container));
}

std::string container_lines(const JobRequest& request) {
  if (request.container.empty()) return "";
  if (is_apptainer_image(request.container)) return apptainer_words(request);
  return pyxis_options(request);
}

std::string binding_reason(const JobRequest& request) {
  const std::string_view gpus =
      request.gpus_per_node > 0 ? "# One rank per GPU; all see all GPUs of their node, which NCCL needs to join them.\n"
                                : "";
  const std::string cores = request.cpus_per_task > 0 ? fmt::format("Each rank is bound to {} of its own",
                                                                    plural(request.cpus_per_task, "core"))
                                                      : "Ranks are not bound: they share the node's cores";
  return fmt::format("{}# {}.\n", gpus, cores);
}

/// Since Slurm 22.05 srun does not take --cpus-per-task over from sbatch.
std::string srun_line(const JobRequest& request) {
  const std::string binding = request.cpus_per_task > 0
                                  ? fmt::format("--cpus-per-task={} --cpu-bind=cores", request.cpus_per_task)
                                  : "--cpu-bind=none";
  return fmt::format("launch=(srun --mpi=pmix --distribution=block {} --kill-on-bad-exit=1)\n", binding);
}

std::string mpirun_line(const JobRequest& request) {
  const std::string cores = request.cpus_per_task > 0 ? fmt::format(":PE={}", request.cpus_per_task) : "";
  return fmt::format("launch=(mpirun -np {} --map-by ppr:{}:node{} --rank-by slot --bind-to {})\n",
                     request.nodes * request.tasks_per_node, request.tasks_per_node, cores,
                     request.cpus_per_task > 0 ? "core" : "none");
}

std::string launch_lines(const JobRequest& request) {
  return "\n# Ranks follow each other inside a node, so that the last axis of --order stays there.\n" +
         binding_reason(request) + (request.launcher == JobLauncher::srun ? srun_line(request) : mpirun_line(request)) +
         container_lines(request);
}

constexpr std::string_view kBegin = R"sh(
# An earlier job of the chain, or an earlier start, may have brought the training to its end.
if [[ -e $run/finished ]]; then
  echo "dmltrain job $job: the training in $run is done"
  exit 0
fi
log_begin=$(stat -c %s "$log" 2>/dev/null || echo 0)

# A signal to this script becomes SIGUSR1 for the launcher, which hands it to all ranks: they end
# their step, save, and exit with code 75.
training=
stopped_by=
interrupted=
# shellcheck disable=SC2317  # the traps call it
stop() {
  stopped_by=$1
  interrupted=yes
  [[ -z $training ]] || kill -USR1 "$training" 2>/dev/null
}
trap 'stop USR1' USR1
trap 'stop USR2' USR2
trap 'stop TERM' TERM
)sh";

constexpr std::string_view kWait = R"sh(training=$!

# `wait` also ends when a signal comes: until it is the training that ended.
while :; do
  interrupted=
  wait "$training"
  status=$?
  [[ -n $interrupted ]] || break
done

if [[ $status -eq 0 ]]; then
  touch "$run/finished"
  echo "dmltrain job $job: done, in $run"
  exit 0
fi

# 75: saved. Above 128: the signal came before there was anything to save.
if [[ $status -eq 75 || (-n $stopped_by && $status -gt 128) ]]; then
  echo "dmltrain job $job: stopped by ${stopped_by:-a signal}, goes on from $run"
  case $stopped_by in
    USR2) scancel "$job" ;;  # `dmltrain submit cancel`
)sh";

constexpr std::string_view kRequeue = R"sh(    USR1) scontrol requeue "$job" && exit 0 ;;  # the time limit
  esac
  exit 75  # after SIGTERM Slurm knows whether to start it again
fi
)sh";

constexpr std::string_view kNextOfChain =
    R"sh(    USR1)  # the time limit: the next job of the chain goes on, if there is one
      [[ $SLURM_ARRAY_TASK_ID -eq $SLURM_ARRAY_TASK_MAX ]] || exit 0
      ;;
  esac
  exit 75  # after SIGTERM Slurm knows whether to start it again
fi
scancel --state=PENDING "$job"  # the rest of the chain would fail alike
)sh";

constexpr std::string_view kReason = R"sh(
reason=$(tail -c +"$((log_begin + 1))" "$log" | grep -a -m 1 'dmltrain: error: ')
# A rank that is killed cannot say so.
[[ -n $reason || $status -le 128 ]] || reason="signal $((status - 128)); 9 is often too little memory"
echo "dmltrain job $job: failed with exit code $status: ${reason#*dmltrain: error: }"
exit "$status"
)sh";

std::string option_text(const OptionWords& words) {
  std::vector<std::string> quoted;
  std::transform(words.begin(), words.end(), std::back_inserter(quoted), shell_word);
  return fmt::format("{}", fmt::join(quoted, " "));
}

std::string start_lines(const JobRequest& request) {
  std::string text = fmt::format("\n\"${{launch[@]}}\" {}", shell_word(request.program));
  std::vector<std::string> options;
  std::transform(request.training.begin(), request.training.end(), std::back_inserter(options), option_text);
  options.push_back(fmt::format("--run \"$run\" --resume {} &\n", request.resume.empty() ? "auto" : "\"$resume\""));
  std::size_t column = kLineWidth;  // the options begin on a line of their own
  for (const std::string& option : options) {
    const bool fits = column + 1 + option.size() <= kLineWidth - 2;
    text += (fits ? " " : " \\\n  ") + option;
    column = (fits ? column + 1 : 2) + option.size();
  }
  return text;
}

}  // namespace

bool is_apptainer_image(std::string_view container) { return container.ends_with(".sif"); }

std::string shell_word(const std::string& word) {
  const bool is_safe = !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || kSafeCharacters.find(c) != std::string_view::npos;
  });
  if (is_safe) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string job_log(const JobRequest& request, std::string_view job) {
  return fmt::format("{}-{}.log", request.name, job);
}

std::string job_script(const JobRequest& request) {
  std::string text = head(request) + resources(request) + restarts(request) + module_lines(request) + names(request) +
                     environment(request) + launch_lines(request);
  text += kBegin;
  text += start_lines(request);
  text += kWait;
  text += request.chain > 0 ? kNextOfChain : kRequeue;
  text += kReason;
  return text;
}

}  // namespace dml
