// What `dmltrain doctor` knows of hosts, ranks, links and one known training: plain values, filled by the probes of
// this folder, judged by checks.h. Numbers that are 0 and texts that are empty are not known.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "parallel/cost/collective_cost.h"
#include "runtime/device/twin_check.h"

namespace dml {

/// Soft limits of a process; nothing where there is none.
struct ProcessLimits {
  std::optional<std::int64_t> open_files, locked_bytes, stack_bytes, processes;
};

struct NetworkInterface {
  std::string name;
  std::int64_t megabits_per_s = 0;
};

struct Gpu {
  std::string name;
  std::int64_t memory_mib = 0;
  std::string driver;
};

/// Where run folders go.
struct DiskFacts {
  std::string folder;
  std::int64_t free_bytes = 0;
  double write_bytes_per_s = 0;
  std::string failure;  ///< why nothing could be written; empty where it could
};

struct HostFacts {
  std::string name;
  std::string processor;
  int online_cores = 0;
  int granted_cores = 0;   ///< that the control group leaves
  double quota_cores = 0;  ///< processor time that the control group leaves, in cores; 0: no quota
  int numa_nodes = 0;
  std::string governor;         ///< of the clock frequency
  std::string instruction_set;  ///< that kernels use
  std::string detected_instruction_set;
  std::int64_t memory_bytes = 0, available_bytes = 0;
  std::int64_t group_bytes = 0;   ///< limit of the control group, where it is below memory_bytes
  std::int64_t shared_bytes = 0;  ///< size of /dev/shm, through which processes of a host talk
  std::string container;
  std::string kernel;                      ///< of the operating system
  std::vector<NetworkInterface> networks;  ///< that are up, without the loopback
  std::vector<std::string> fabrics;        ///< InfiniBand and its like
  std::vector<std::string>
      transports;                ///< that Open MPI could use, as "btl tcp", "pml ucx"; empty where it does not show
  std::vector<Gpu> gpus;         ///< as nvidia-smi lists them
  int gpu_devices = 0;           ///< device files of NVIDIA
  bool has_cuda_driver = false;  ///< libcuda can be loaded
  std::map<std::string, std::string> versions;  ///< of this program and of what it runs on
  ProcessLimits limits;
  DiskFacts disk;
};

struct RankFacts {
  int rank = 0;
  std::string host;
  int ranks_on_host = 1;
  std::vector<int> cores;  ///< that its threads may use
  int threads = 1;
  std::vector<std::string> notes;                  ///< of what was done about its cores
  std::map<std::string, std::string> environment;  ///< what says how waiting is done, and what Open MPI was told
  double clock_ahead_s = 0;                        ///< time of day, against rank 0
};

/// Between two ranks; the best of several tries.
struct LinkFacts {
  int from = 0, to = 0;
  double latency_s = 0;
  double bytes_per_s = 0;
};

struct CollectiveFacts {
  CommKind kind = CommKind::all_reduce;
  int ranks = 0;
  double bytes = 0;
  double seconds = 0, spread = 0;
  double expected_s = 0;  ///< by the calibration; 0 without one
};

/// What a group of ranks got from the built-in known training.
struct TrainingFacts {
  int first_rank = 0;
  std::string layout;
  std::vector<double> losses;
  std::string failure;  ///< why there are none
};

/// One operation between GPUs, as one of its ranks saw it.
struct TransferCheck {
  std::string operation;  ///< "all_reduce"
  std::int64_t elements = 0;
  std::int64_t wrong = 0;  ///< elements that are not what they should be
};

/// A GPU's kernels beside the processor's, and what it got from the others.
struct DeviceFacts {
  int rank = 0;
  std::string name;  ///< empty: the rank computes on its processor
  std::vector<OperationDifference> operations;
  std::vector<TransferCheck> transfers;  ///< none where there is one rank
  std::string failure;                   ///< why there are no operations
  std::string transfer_failure;          ///< what ended the transfers on this rank
};

struct DoctorFacts {
  std::string backend;           ///< of communication: "thread", "mpi"
  std::vector<HostFacts> hosts;  ///< in the order of their first ranks
  std::vector<RankFacts> ranks;
  std::vector<LinkFacts> links;
  std::vector<CollectiveFacts> collectives;
  std::string calibration;           ///< what expectations come from
  std::vector<DeviceFacts> devices;  ///< GPUs that ranks would train on
  std::vector<TrainingFacts> trainings;
};

}  // namespace dml
