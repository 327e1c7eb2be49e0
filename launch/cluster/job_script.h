// The Slurm job of a training, as a bash script that a person can read, keep and change. Pure: what is asked in, text
// out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "launch/cluster/fabric.h"

namespace dml {

/// `srun` starts the ranks through PMIx, `mpirun` is Open MPI's own launcher inside the allocation.
enum class JobLauncher : std::uint8_t { srun, mpirun };

/// The words of one option and its value.
using OptionWords = std::vector<std::string>;

struct JobRequest {
  std::string name = "dmltrain";
  int nodes = 1;
  int tasks_per_node = 1;  ///< ranks; one per GPU where there are any
  int gpus_per_node = 0;
  int cpus_per_task = 0;  ///< cores that a rank is bound to; 0: as the site has it, unbound
  std::string time, partition, account, qos, constraint;  ///< of sbatch; empty: the site's own
  std::vector<std::string> sbatch;                        ///< more options of sbatch, without the dashes
  int grace_seconds = 120;                                ///< for saving, before the time limit
  int chain = 0;                                          ///< jobs of an array that follow each other; 0: one job

  JobLauncher launcher = JobLauncher::mpirun;
  Fabric fabric = Fabric::automatic;
  std::string interface;
  std::vector<std::string> modules;
  std::string container;            ///< *.sif: Apptainer; all else is an image of Enroot, through Pyxis; empty: none
  std::vector<std::string> mounts;  ///< "/data" or "/data:/inside"

  std::string program = "dmltrain";
  std::vector<OptionWords> training;  ///< its options, without --run and --resume
  std::string layout;                 ///< for the first line: "d=4 p=2 t=2"
  std::string run;                    ///< the folder; empty: runs/NAME-JOB
  std::string resume;                 ///< of the first start; empty: from the beginning, or where the run folder is
  std::vector<std::string> notes;     ///< comments at its head
};

/// Whether the image is one that Apptainer runs.
bool is_apptainer_image(std::string_view container);
/// What bash reads as this one word.
std::string shell_word(const std::string& word);
/// Where the job writes, relative to where it was submitted; `job` stands for its number.
std::string job_log(const JobRequest& request, std::string_view job);

/// The whole script. It ends with 0 when the training is done. When a signal ended the training (exit code 75) it puts
/// the job back into Slurm's queue after SIGUSR1, cancels it after SIGUSR2, and leaves it to Slurm after SIGTERM.
std::string job_script(const JobRequest& request);

}  // namespace dml
