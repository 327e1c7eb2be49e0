// Slurm as its commands tell of it: what it can, and what becomes of jobs. Its refusals are passed on in its own words,
// as UsageError.
#pragma once

#include <string>
#include <vector>

namespace dml {

/// Whether `srun --mpi=list` has PMIx; false where there is no srun.
bool srun_has_pmix();
/// The same from what it printed.
bool lists_pmix(const std::string& list);

/// Hands the script to sbatch; the number of the job.
std::string submit_script(const std::string& script);

/// A job, or one of an array's.
struct SlurmJob {
  std::string id;      ///< "12", or "12_3" of an array
  std::string state;   ///< "RUNNING"
  std::string reason;  ///< why it waits, or ended; "None"
  std::string nodes;   ///< "n[1-2]", or empty
  std::string run_time, time_limit;
  std::string log;    ///< path
  int restarts = 0;   ///< how often it was started again
  int exit_code = 0;  ///< of the script

  /// Whether nothing more will come of it.
  bool is_over() const;
};

/// Of one job all that Slurm still knows: minutes after the end it forgets. An array has several.
std::vector<SlurmJob> find_jobs(const std::string& id);
/// The same from the lines of `scontrol --oneliner show job`.
std::vector<SlurmJob> parse_jobs(const std::string& lines);

/// Cancels what waits, and has what runs save first; at once where `now`.
void cancel_job(const std::string& id, bool now);

}  // namespace dml
