// What a run tells the world while it goes on: plain records, filled by the trainer, printed and written by launch/.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "parallel/host_links.h"
#include "parallel/mesh.h"
#include "parallel/task_graph.h"
#include "parallel/timeline.h"

namespace dml {

/// How a rank's step time divides; the parts sum to `step` within 1 % (see DEFINITIONS in the README). Seconds.
struct Breakdown {
  double step = 0;
  double compute = 0;       ///< inside tasks, on the processor
  double core_wait = 0;     ///< inside tasks, off the processor
  double exposed_comm = 0;  ///< waiting on a collective or a full send
  double bubble = 0;        ///< waiting on a pipeline receive
  double other = 0;
  double comm = 0;  ///< union of posted-to-completed times; overlaps the others
};

/// Times and bytes of one rank and step by kind of work: the rows of the final tables.
struct RankStep {
  int rank = 0;
  std::int64_t step = 0;
  Breakdown parts;
  double forward = 0, backward = 0, update = 0;              ///< seconds inside tasks
  std::vector<std::pair<std::string, double>> comm_seconds;  ///< by kind: "all_reduce d", "send", ...
  std::vector<std::pair<std::string, std::int64_t>> bytes_sent, bytes_received;  ///< by kind
  std::int64_t resident_bytes = 0;
  double cpu_percent = 0;
};

/// One line of steps.jsonl and one step line on the terminal. Of all ranks together.
struct StepRecord {
  std::int64_t step = 0;  ///< 0-based
  std::int64_t num_steps = 0;
  double loss = 0;
  double grad_norm = 0;
  double learning_rate = 0;
  std::optional<double> accuracy;         ///< where there are classes
  std::optional<double> validation_loss;  ///< on steps that validate
  double samples_per_s = 0;
  double tokens_per_s = 0;  ///< 0 where samples are not sequences
  double flops_per_s = 0;
  double peak_fraction = 0;  ///< of the measured peak of the cores; 0 where not measured
  Breakdown mean;            ///< over ranks
};

/// One kind of communication over the whole run and all ranks: a row of the last table.
struct CommTotals {
  std::string kind;  ///< "all_reduce d", "all_gather t", "send", ...
  std::int64_t count = 0;
  std::int64_t bytes = 0;
  double seconds = 0;  ///< posted to completed, summed over the calls
  int group_size = 1;
};

/// What one rank owns: a row of the first page.
struct RankPlan {
  int rank = 0;
  Coordinate at;
  std::string host;
  std::string layers;  ///< "blocks 0-1" or the first and last node of its stage
  std::int64_t parameters = 0;
  std::int64_t planned_bytes = 0;
  std::int64_t used_bytes = 0;  ///< filled at the end
};

/// The first page.
struct RunPlan {
  std::string model;
  std::int64_t parameters = 0;
  double flops_per_step = 0;
  std::string data;
  std::int64_t batch = 0;
  std::int64_t microbatches = 0;
  std::int64_t num_steps = 0;
  std::int64_t first_step = 0;  ///< steps of an earlier run that this one goes on from
  int d = 1, p = 1, t = 1;
  std::string schedule, tensor_mode, backend;
  int threads_per_rank = 1;
  int usable_cores = 1;
  std::string instruction_set;
  std::vector<RankPlan> ranks;
  std::vector<AxisLinks> links;    ///< which axes cross hosts
  std::vector<std::string> notes;  ///< what was decided that a person may want to know
};

/// A row of the final per-rank table: the run's mean step.
struct RunSummary {
  std::vector<RankPlan> ranks;
  std::vector<RankStep> mean_steps;  ///< by rank, means over the steps after the first two
  std::vector<CommTotals> comm;
  double seconds = 0;
  double first_loss = 0, last_loss = 0;  ///< the last: mean of the last ten steps
  std::string sample;                    ///< generated text, or empty
};

/// Who listens. Called on rank 0 only, except failed.
class RunObserver {
 public:
  virtual ~RunObserver() = default;
  /// Where a step went: the tasks of all ranks and when they ran. Called once, before finished.
  virtual void traced(std::span<const RankTasks> ranks, const Timeline& timeline, const Mesh& mesh,
                      const std::function<std::string(const RankTasks&, const Task&)>& name_of_task) = 0;
  /// All checks have passed on all ranks; the run folder may be made.
  virtual void started(const RunPlan& plan) = 0;
  /// Where checkpoints go; asked after started.
  virtual std::string checkpoint_folder() const = 0;
  /// What a person may want to know came up between two steps.
  virtual void noted(const std::string& /*line*/) {}
  virtual void stepped(const StepRecord& record, const std::vector<RankStep>& ranks) = 0;
  virtual void finished(const RunSummary& summary) = 0;
};

}  // namespace dml
