// What a machine is to the simulator: how long its devices take for a task, and its links for a message. A value, from
// a data sheet or from measurements.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/graph.h"
#include "parallel/cost/collective_cost.h"
#include "parallel/cost/link_override.h"
#include "parallel/cost/size_table.h"

namespace dml {

/// A measured kernel family with so many threads per rank. Which sizes a family is measured by says kernel_size.h.
struct KernelTable {
  int threads = 1;
  int ranks = 1;  ///< that compute on the host at the same time, and share its caches and memory
  SizeTable table;
  double residual = 0;  ///< median relative error at sizes between the points; 0 where not measured
};

/// What a data sheet says of arithmetic, and how much of it programs get. 0: unknown.
struct Peaks {
  double f32_flops = 0;   ///< FLOP/s of products in f32 (by tensor cores as TF32 where there are any)
  double f16_flops = 0;   ///< in f16 and bf16, dense
  double efficiency = 1;  ///< part of it that large products reach
  /// Where known, the part that an operation of so many FLOPs reaches: ascending, and as many parts.
  std::vector<double> sizes_flops = {}, efficiencies = {};
  double memory_bytes_per_s = 0;
  double memory_efficiency = 1;  ///< part of it that large copies reach

  /// Linear in the logarithm between the sizes, constant beyond them; `efficiency` where there are none.
  double efficiency_at(double flops) const;
};

/// Of the last level.
inline constexpr int kAllRanks = 1 << 30;

/// Groups of up to `ranks` consecutive devices are joined by this link: those of a node, of a rack, of all.
struct LinkLevel {
  int ranks = 1;
  Link link;
  CollectiveAlgorithm algorithm = CollectiveAlgorithm::automatic;
  bool joins_pairs = false;  ///< there is such a link for each pair of ranks, and `direct` uses all at once
};

/// Measured communication of one kind; axes: ranks, bytes.
using CommTables = std::map<CommKind, SizeTable>;

struct Hardware;

/// World ranks whose devices are of another kind.
struct OtherDevices {
  int first_rank = 0, last_rank = 0;
  std::shared_ptr<const Hardware> kind;  ///< its kernels, peaks, launch and memory count; links are the machine's
};

struct Hardware {
  std::string name;
  double launch_seconds = 0;  ///< of each task beside its kernel
  /// A host that issues the tasks of an accelerator, and runs ahead of it, needs so long for each: a pass is not over
  /// before all its operations and tensor collectives are issued.
  double dispatch_seconds = 0;
  double step_seconds = 0;  ///< of each step beside its tasks, where nothing overlaps
  /// Of a host's core, the part of a rank's time that others take: the system, other programs, a hypervisor. Ranks wait
  /// for each other, so that what one core loses all lose: measured kernels are longer by it times the cores in use.
  double disturbance = 0;
  Peaks peaks;
  double memory_bytes = 0;      ///< of a device; 0: unknown
  double overlap_slowdown = 1;  ///< by which a task takes longer beside communication, on devices
  double host_bytes_per_s = 0;  ///< of all ranks of a host together to other hosts, each way; 0: no limit
  int cores_per_host = 0;       ///< that its ranks' threads share; 0: each rank is a device of its own
  int ranks_per_host = 0;       ///< at most; 0: any number
  int ranks = 0;                ///< of the whole machine; 0: any number
  std::map<std::string, std::vector<KernelTable>, std::less<>> kernels;  ///< by family
  CommTables comm;                                                       ///< within a host
  std::vector<LinkLevel> levels;    ///< from the closest; the last one's ranks are no limit
  std::vector<LinkOverride> links;  ///< in place of the levels'; of several the last counts
  std::vector<OtherDevices> others;

  /// Throws std::invalid_argument with both numbers where the machine has less than `world` ranks.
  void check_world(int world) const;
  /// The device of a world rank: this one, or the last of `others` that has the rank.
  const Hardware& device_of(int rank) const;
  /// The overrides that a rank is an end of: twice the index of each, and one more where it is among the others.
  std::vector<int> link_ends_of(int rank) const;
  /// Throws std::invalid_argument that names the part that is not there or makes no sense.
  void check() const;
};

/// How a rank computes.
struct ComputeMode {
  int threads = 1;         ///< per rank, on a host
  int ranks_per_host = 1;  ///< that compute at the same time
};

/// Of one execution of `node`, with the launch. By the measured family where there is one (for other threads than
/// measured, scaled by them; with as many ranks on the host, else the next fewer), else by the roofline of Williams,
/// Waterman and Patterson (2009): the longer of arithmetic and memory. 0 for aliases.
double seconds_of(const Hardware& hardware, const Graph& graph, const Node& node, const ComputeMode& mode);

/// Of the optimizer's update of `num_elems` weights that keeps `states` f32 values for each (adamw: 2).
double seconds_of_update(const Hardware& hardware, double num_elems, int states, const ComputeMode& mode);

/// Of reading so many bytes once, beside a launch: the square norm of gradients.
double seconds_of_memory(const Hardware& hardware, double bytes, const ComputeMode& mode);

/// From the last rank's arrival to the end. `bytes` as in collective_cost.h. A group within one host is measured where
/// there are measurements. One that spans levels is hierarchical: of an all-reduce, reduce-scatter inside, all-reduce
/// of the parts across, all-gather inside (Thakur, Rabenseifner and Gropp 2005, section 4.5 of the algorithms in
/// MPICH). A group with an override between two members goes by the links, at the pace of the slowest that it uses.
double seconds_of(const Hardware& hardware, CommKind kind, double bytes, const CommGroup& group);
/// A message between two world ranks.
double seconds_of_send(const Hardware& hardware, double bytes, int from, int to);

/// Presets by data sheet: a100-80g, h100-sxm, h200, b200. Throws std::invalid_argument that lists them.
Hardware hardware_preset(std::string_view name);
std::span<const std::string_view> hardware_preset_names();

}  // namespace dml
