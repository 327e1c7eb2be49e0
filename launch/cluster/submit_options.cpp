#include "launch/cluster/submit_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "launch/cluster/training_words.h"
#include "launch/options/config_file.h"
#include "launch/options/option_makers.h"
#include "launch/options/preset.h"
#include "launch/run_folder.h"
#include "launch/session.h"
#include "parallel/mesh.h"

namespace dml {
namespace {

constexpr std::int64_t kMostNodes = 1 << 20;
constexpr std::int64_t kMostPerNode = 4096;
constexpr std::int64_t kMostGrace = 65535;  // Slurm's
constexpr std::int64_t kMostChained = 1000;
constexpr std::string_view kLaunchers[] = {"auto", "srun", "mpirun"};
constexpr std::string_view kNameSigns = "-_./:=,+@%^";
constexpr std::string_view kSlurmSigns = "&|*()[]~";  // of Slurm's expressions
/// What is of one submission, and no default of a site.
constexpr std::string_view kNotOfASite[] = {"cluster", "print", "wait", "now"};

std::vector<std::string_view> site_keys() {
  static const std::vector<OwnOption> options = submit_option_table();
  std::vector<std::string_view> keys;
  for (const OwnOption& option : options) {
    if (std::find(std::begin(kNotOfASite), std::end(kNotOfASite), option.name) == std::end(kNotOfASite))
      keys.push_back(option.name);
  }
  return keys;
}

std::vector<FileEntry> site_entries(const Command& command) {
  const bool is_named = command.has("cluster");
  const std::string path = is_named ? command.text("cluster") : default_cluster_file();
  if (!is_named && !std::ifstream(path)) return {};
  return read_command_file(path, site_keys());
}

/// Values of options: of the command line, else of the site's file.
class SubmitOptions {
 public:
  explicit SubmitOptions(const Command& command) : command_(command), site_(site_entries(command)) {}

  std::vector<std::string> list(std::string_view option) const {
    if (const auto given = command_.own.find(option); given != command_.own.end()) return given->second;
    const FileEntry* entry = of_site(option);
    return entry == nullptr ? std::vector<std::string>{} : entry->values;
  }
  std::string text(std::string_view option, std::string_view otherwise = "") const {
    const std::vector<std::string> values = list(option);
    return values.empty() ? std::string(otherwise) : values.back();
  }
  /// A text that becomes part of the script. `signs` beside letters, digits and the usual ones of names and paths are
  /// for where bash does not read it.
  std::string word(std::string_view option, std::string_view otherwise = "", std::string_view signs = "") const {
    return checked(option, text(option, otherwise), signs);
  }
  std::vector<std::string> words(std::string_view option, std::string_view signs = "") const {
    std::vector<std::string> values = list(option);
    for (const std::string& value : values) checked(option, value, signs);
    return values;
  }
  /// What `parse` makes of the option; its UsageError with the option's name before it.
  template <typename Parse>
  auto parsed(std::string_view option, Parse parse) const {
    return under_name(named(option), [&] { return parse(text(option)); });
  }
  int number(std::string_view option, int otherwise, std::int64_t least, std::int64_t most) const {
    if (list(option).empty()) return otherwise;
    return parsed(option, [&](const std::string& text) { return static_cast<int>(parse_integer(text, least, most)); });
  }
  std::size_t choice(std::string_view option, std::span<const std::string_view> names) const {
    if (list(option).empty()) return 0;
    return parsed(option, [&](const std::string& text) { return parse_choice(text, names); });
  }
  /// How messages call the option: "--nodes", or "cluster.toml line 3: nodes".
  std::string named(std::string_view option) const {
    const FileEntry* entry = command_.has(option) ? nullptr : of_site(option);
    return entry == nullptr ? fmt::format("--{}", option) : fmt::format("{}: {}", entry->place, option);
  }

 private:
  const FileEntry* of_site(std::string_view option) const {
    const auto entry = std::find_if(site_.begin(), site_.end(), [&](const FileEntry& e) { return e.key == option; });
    return entry == site_.end() ? nullptr : &*entry;
  }
  std::string checked(std::string_view option, const std::string& value, std::string_view signs) const {
    const auto is_allowed = [&](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || kNameSigns.find(c) != std::string_view::npos ||
             signs.find(c) != std::string_view::npos;
    };
    if (std::all_of(value.begin(), value.end(), is_allowed)) return value;
    throw UsageError(
        fmt::format("{}: '{}' has a space or a sign that cannot be in a job script", named(option), value));
  }

  const Command& command_;
  std::vector<FileEntry> site_;
};

/// "2 nodes of 8 GPUs", for messages.
std::string nodes_text(const JobRequest& job) {
  return fmt::format("{} node{} of {} {}", job.nodes, job.nodes == 1 ? "" : "s", job.tasks_per_node,
                     job.gpus_per_node > 0 ? "GPUs" : "tasks");
}

/// By the GPUs, or as said; else the layout's ranks spread evenly.
int choose_tasks_per_node(const SubmitOptions& options, const JobRequest& job, const LayoutConfig& layout) {
  const int tasks = options.number("tasks-per-node", 0, 1, kMostPerNode);
  if (job.gpus_per_node > 0 && tasks > 0 && tasks != job.gpus_per_node) {
    throw UsageError(fmt::format("{} {} with {} GPUs a node: there is one rank per GPU, leave it out",
                                 options.named("tasks-per-node"), tasks, job.gpus_per_node));
  }
  if (job.gpus_per_node > 0) return job.gpus_per_node;
  if (tasks > 0) return tasks;
  const std::int64_t ranks = ranks_of(layout);
  if (ranks % job.nodes != 0 || ranks / job.nodes > kMostPerNode) {
    throw UsageError(
        fmt::format("submit: {} ranks (d*p*t) cannot be spread evenly over --nodes {}: give --tasks-per-node or "
                    "--gpus-per-node, or other d, p, t",
                    ranks, job.nodes));
  }
  return static_cast<int>(ranks / job.nodes);
}

int choose_replicas(const JobRequest& job, const LayoutConfig& layout) {
  const std::int64_t tasks = std::int64_t{job.nodes} * job.tasks_per_node;
  const std::int64_t model_ranks = std::int64_t{layout.p} * layout.t;
  const bool fits = layout.d > 0 ? ranks_of(layout) == tasks : tasks % model_ranks == 0;
  if (fits) return static_cast<int>(tasks / model_ranks);
  if (layout.d == 0) {
    throw UsageError(fmt::format("submit: {} are {} ranks, which is no multiple of p*t = {} (--p {} --t {})",
                                 nodes_text(job), tasks, model_ranks, layout.p, layout.t));
  }
  const std::string advice =
      tasks % model_ranks == 0 ? fmt::format("--d {}, or other nodes", tasks / model_ranks) : "other d, p, t or nodes";
  throw UsageError(fmt::format("submit: --d {} --p {} --t {} makes {} ranks, but {} are {}: use {}", layout.d, layout.p,
                               layout.t, ranks_of(layout), nodes_text(job), tasks, advice));
}

/// Whether ranks of one tensor group live on several nodes.
bool tensor_axis_leaves_node(const LayoutConfig& layout, int tasks_per_node) {
  const Mesh mesh(layout.d, layout.p, layout.t, layout.order);
  for (int rank = 0; rank < mesh.world_size(); ++rank) {
    const std::vector<int> group = mesh.group(rank, Axis::tensor);
    if (group.front() / tasks_per_node != group.back() / tasks_per_node) return true;
  }
  return false;
}

std::vector<std::string> notes_of(const JobRequest& job, const Config& config) {
  std::vector<std::string> notes;
  if (job.nodes > 1 && tensor_axis_leaves_node(config.layout, job.tasks_per_node)) {
    notes.push_back(fmt::format(
        "the tensor axis (t={}, order {}) crosses nodes of {} ranks: it talks in every layer, and that over "
        "the network",
        config.layout.t, config.layout.order, job.tasks_per_node));
  }
  if (config.checkpoint_every == 0)
    notes.emplace_back("without --checkpoint-every a lost node loses all: only signals make it save");
  return notes;
}

JobLauncher choose_launcher(const SubmitOptions& options, HasPmix has_pmix) {
  switch (options.choice("launcher", kLaunchers)) {
    case 1: return JobLauncher::srun;
    case 2: return JobLauncher::mpirun;
    default: return has_pmix() ? JobLauncher::srun : JobLauncher::mpirun;
  }
}

void read_resources(JobRequest& job, const SubmitOptions& options) {
  job.name = options.word("name", job.name);
  job.nodes = options.number("nodes", job.nodes, 1, kMostNodes);
  job.gpus_per_node = options.number("gpus-per-node", 0, 1, kMostPerNode);
  job.cpus_per_task = options.number("cpus-per-task", 0, 1, kMostPerNode);
  job.time = options.word("time");
  job.partition = options.word("partition");
  job.account = options.word("account");
  job.qos = options.word("qos");
  job.constraint = options.word("constraint", "", kSlurmSigns);
  job.sbatch = options.words("sbatch", kSlurmSigns);
  job.grace_seconds = options.number("grace", job.grace_seconds, 1, kMostGrace);
  job.chain = options.number("array", 0, 1, kMostChained);
}

void read_environment(JobRequest& job, const SubmitOptions& options, HasPmix has_pmix) {
  job.launcher = choose_launcher(options, has_pmix);
  job.fabric = static_cast<Fabric>(options.choice("fabric", fabric_names()));
  job.interface = options.word("interface");
  job.modules = options.words("modules");
  job.container = options.word("container", "", "#");
  job.mounts = options.words("mounts");
  if (!job.container.empty() && !is_apptainer_image(job.container) && job.launcher != JobLauncher::srun) {
    throw UsageError(
        fmt::format("{} {}: an image that is no .sif file is run by Slurm itself (Pyxis), which wants --launcher srun",
                    options.named("container"), job.container));
  }
}

/// This program, where it is now: on a cluster that is a folder that all nodes see.
std::string this_program() { return std::filesystem::read_symlink("/proc/self/exe").string(); }

}  // namespace

std::string default_cluster_file() {
  const char* config = std::getenv("XDG_CONFIG_HOME");
  const char* home = std::getenv("HOME");
  const std::filesystem::path folder = config != nullptr && *config != '\0'
                                           ? std::filesystem::path(config)
                                           : std::filesystem::path(home == nullptr ? "" : home) / ".config";
  return (folder / "dmltrain" / "cluster.toml").string();
}

std::vector<OwnOption> submit_option_table() {
  return {{"nodes", "N", "nodes of the job (default 1)"},
          {"gpus-per-node", "N", "GPUs of a node, with one rank each"},
          {"tasks-per-node", "N", "ranks of a node without GPUs (default: d*p*t over the nodes)"},
          {"cpus-per-task", "N", "cores that each rank is bound to (default: unbound)"},
          {"time", "H:MM:SS", "time limit; the training saves before it, and is started again"},
          {"grace", "SECONDS", "for saving, before the time limit (default 120)"},
          {"array", "N", "chain of N jobs, each from where the one before it stopped"},
          {"partition", "NAME", "of Slurm"},
          {"account", "NAME", "of Slurm"},
          {"qos", "NAME", "of Slurm"},
          {"constraint", "FEATURES", "of nodes, as in Slurm"},
          {"sbatch", "OPTION", "one more option of sbatch, without dashes: mem=0 (repeatable)", true},
          {"name", "NAME", "of the job, its log and its run folder (default dmltrain)"},
          {"launcher", "NAME", "srun or mpirun (default: srun where it has PMIx)"},
          {"fabric", "NAME", "infiniband, roce, efa, slingshot or ethernet: settings for Open MPI and NCCL"},
          {"interface", "NAME", "network interface of sockets, as ib0"},
          {"modules", "NAME", "module to load (repeatable)", true},
          {"container", "IMAGE", "FILE.sif for Apptainer; others are Enroot's, through Pyxis"},
          {"mounts", "DIR", "what the container sees: /data or /data:/inside (repeatable)", true},
          {"program", "PATH", "dmltrain on the nodes (default: this one)"},
          {"hardware", "FILE|NAME", "checks that a rank's memory suffices: a100-80g, ... (dmltrain help hardware)"},
          {"cluster", "FILE", "the site's defaults (default ~/.config/dmltrain/cluster.toml)"},
          {"print", "", "prints the script, and submits nothing"},
          {"wait", "", "follows the log until the job is over; its exit code"},
          {"now", "", "of cancel: without saving"}};
}

Submission read_submission(const Command& command, HasPmix has_pmix) {
  const SubmitOptions options(command);
  Config config = command.config;
  check_run_options(config);
  check_run_folder(config.run, !config.resume.empty());
  JobRequest job;
  read_resources(job, options);
  read_environment(job, options, has_pmix);
  job.tasks_per_node = choose_tasks_per_node(options, job, config.layout);
  config.layout.d = choose_replicas(job, config.layout);
  job.program = options.text("program", job.container.empty() ? this_program() : "dmltrain");
  // A rank that is bound sees its own cores alone, and would share them among the node's ranks.
  if (config.threads == 0) config.threads = job.cpus_per_task;
  // A node whose GPUs cannot be used would else train on its processors.
  if (job.gpus_per_node > 0 && config.device == Config{}.device) config.device = "cuda";
  job.training = training_words(config);
  job.layout = fmt::format("d={} p={} t={}", config.layout.d, config.layout.p, config.layout.t);
  job.run = config.run;
  if (config.resume != kAuto) job.resume = config.resume;
  job.notes = notes_of(job, config);
  return {.job = std::move(job), .layout = config.layout, .hardware = options.text("hardware")};
}

}  // namespace dml
