// Checks of one host: cores, waiting, memory, limits, disk, accelerators, versions.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "launch/doctor/checks.h"
#include "launch/doctor/minimum_versions.h"
#include "launch/terminal/number_text.h"

namespace dml {
namespace {

constexpr std::int64_t kMiB = 1 << 20;
constexpr std::int64_t kGiB = 1 << 30;

std::string cores_words(std::size_t cores) { return fmt::format("{} core{}", cores, cores == 1 ? "" : "s"); }
std::string ranks_words(std::size_t ranks) { return fmt::format("{} rank{}", ranks, ranks == 1 ? "" : "s"); }

std::set<int> cores_of(const RanksOfHost& ranks) {
  std::set<int> cores;
  for (const RankFacts* rank : ranks) cores.insert(rank->cores.begin(), rank->cores.end());
  return cores;
}

std::size_t threads_of(const RanksOfHost& ranks) {
  std::size_t threads = 0;
  for (const RankFacts* rank : ranks) threads += static_cast<std::size_t>(rank->threads);
  return threads;
}

std::string value_of(const RankFacts& rank, const std::string& variable) {
  const auto found = rank.environment.find(variable);
  return found == rank.environment.end() ? "" : found->second;
}

/// Why the threads of this rank do not sleep when they wait; empty where they do.
std::string spinning(const RankFacts& rank) {
  constexpr std::size_t kLongSpinDigits = 7;  // a million turns are milliseconds, longer than most waits
  const std::string policy = value_of(rank, "OMP_WAIT_POLICY");
  if (policy == "active" || policy == "ACTIVE") return "OMP_WAIT_POLICY=" + policy;
  const std::string count = value_of(rank, "GOMP_SPINCOUNT");
  if (count.size() >= kLongSpinDigits || count.starts_with("inf")) return "GOMP_SPINCOUNT=" + count;
  if (value_of(rank, "OMPI_MCA_mpi_yield_when_idle") == "0") return "OMPI_MCA_mpi_yield_when_idle=0";
  return "";
}

/// Empty, or the finding of a limit that is below what is wanted.
Diagnoses low_limit(const HostFacts& host, std::optional<std::int64_t> limit, std::int64_t wanted, std::string text,
                    std::string advice) {
  if (!limit || *limit >= wanted) return {};
  return {{Severity::warning, "limits", host.name, std::move(text), std::move(advice)}};
}

void append(Diagnoses& to, Diagnoses from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace

Diagnoses check_cores(const HostFacts& host, const RanksOfHost& ranks) {
  const std::size_t usable = cores_of(ranks).size();
  const std::size_t threads = threads_of(ranks);
  const auto granted = static_cast<std::size_t>(std::max(host.granted_cores, 0));
  Diagnoses found;
  const auto add = [&](Severity severity, std::string text, std::string advice) {
    found.push_back({severity, "cores", host.name, std::move(text), std::move(advice)});
  };
  if (usable < granted) {
    add(Severity::warning,
        fmt::format("affinity leaves {} {} of the {} granted ({})", ranks_words(ranks.size()), cores_words(usable),
                    granted, fmt::join(cores_of(ranks), ",")),
        "start without taskset, with mpirun --bind-to none, or srun --cpus-per-task; dmltrain shares the cores itself");
  }
  if (host.quota_cores > 0 && host.quota_cores + 0.01 < static_cast<double>(std::min(usable, threads))) {
    add(Severity::warning,
        fmt::format("the control group grants processor time of {:.3g} cores, {} threads would use {}",
                    host.quota_cores, threads, cores_words(usable)),
        fmt::format("--threads {} for each rank, or a larger quota (docker --cpus)",
                    std::max(1, static_cast<int>(host.quota_cores) / std::max(1, static_cast<int>(ranks.size())))));
  }
  if (host.governor == "powersave") {
    add(Severity::note, "cores save power (governor powersave)",
        "where times vary, ask for the governor performance (cpupower frequency-set -g performance)");
  }
  if (host.instruction_set != host.detected_instruction_set) {
    add(Severity::note,
        fmt::format("kernels use {}, the processor has {}", host.instruction_set, host.detected_instruction_set),
        "unset DML_ISA unless hosts must agree bit by bit");
  }
  if (threads > usable) {
    add(Severity::note,
        fmt::format("{} with {} threads share {}", ranks_words(ranks.size()), threads, cores_words(usable)),
        "it computes the same, but times say little: one thread to a core is faster");
  }
  if (found.empty()) {
    add(Severity::ok,
        fmt::format("{} for {} with {} thread{}, {}", cores_words(usable), ranks_words(ranks.size()), threads,
                    threads == 1 ? "" : "s", host.instruction_set),
        "");
  }
  return found;
}

Diagnoses check_waiting(const HostFacts& host, const RanksOfHost& ranks) {
  if (threads_of(ranks) > cores_of(ranks).size()) {
    for (const RankFacts* rank : ranks) {
      if (const std::string why = spinning(*rank); !why.empty()) {
        return {{Severity::warning, "waiting", host.name,
                 fmt::format("threads spin while they wait ({}), and there are more of them than cores", why),
                 "unset it, or source launch/env: waiting threads then sleep, and steps take half the time"}};
      }
    }
  }
  return {{Severity::ok, "waiting", host.name, "threads that wait leave their cores to others", ""}};
}

Diagnoses check_memory(const HostFacts& host, const RanksOfHost& ranks) {
  constexpr double kLeastShare = 0.5;
  constexpr std::int64_t kLeastPerRank = kGiB / 2;   // the preset trains in a fifth of this
  constexpr std::int64_t kSharedPerRank = 8 * kMiB;  // Open MPI's segments take about half of this
  Diagnoses found;
  const auto add = [&](Severity severity, std::string text, std::string advice) {
    found.push_back({severity, "memory", host.name, std::move(text), std::move(advice)});
  };
  const auto num_ranks = static_cast<std::int64_t>(ranks.size());
  // A part of a host's memory is what schedulers grant; far less than the part of its cores is likely a mistake.
  const double core_share = host.online_cores > 0 ? static_cast<double>(cores_of(ranks).size()) / host.online_cores : 1;
  const bool is_capped = host.group_bytes > 0 && static_cast<double>(host.group_bytes) <
                                                     kLeastShare * core_share * static_cast<double>(host.memory_bytes);
  if (is_capped) {
    add(Severity::warning,
        fmt::format("the control group caps memory at {} of the host's {}", bytes_text(host.group_bytes),
                    bytes_text(host.memory_bytes)),
        "ask for more: sbatch --mem or --mem-per-cpu, docker --memory");
  }
  if (host.available_bytes < num_ranks * kLeastPerRank) {
    add(Severity::warning,
        fmt::format("{} are available to {}", bytes_text(host.available_bytes), ranks_words(ranks.size())),
        "end what else uses memory, or start fewer ranks on this host");
  }
  if (num_ranks > 1 && host.shared_bytes > 0 && host.shared_bytes < num_ranks * kSharedPerRank) {
    add(Severity::warning,
        fmt::format("/dev/shm has {} for {}", bytes_text(host.shared_bytes), ranks_words(ranks.size())),
        "processes of a host talk through it: docker --shm-size 1g, or mount -o remount,size=1g /dev/shm");
  }
  if (found.empty()) {
    add(Severity::ok,
        fmt::format("{} available of {}", bytes_text(host.available_bytes), bytes_text(host.memory_bytes)), "");
  }
  return found;
}

Diagnoses check_limits(const HostFacts& host, const RanksOfHost& ranks) {
  constexpr std::int64_t kFilesBesideRanks = 256;  // libraries, data, logs
  constexpr std::int64_t kLeastStack = 4 * kMiB;
  constexpr std::int64_t kProcessesBesideThreads = 128;
  constexpr std::int64_t kLeastLocked = 64 * kMiB;
  Diagnoses found;
  const ProcessLimits& limits = host.limits;
  const auto num_ranks = static_cast<std::int64_t>(ranks.size());
  const std::int64_t files = kFilesBesideRanks + 4 * num_ranks;
  append(found, low_limit(host, limits.open_files, files,
                          fmt::format("{} open files a process, {} are wanted", limits.open_files.value_or(0), files),
                          fmt::format("ulimit -n {} before the start (in the job script)",
                                      std::max<std::int64_t>(files, 4096))));
  append(found, low_limit(host, limits.stack_bytes, kLeastStack,
                          fmt::format("a stack of {}", bytes_text(limits.stack_bytes.value_or(0))),
                          "ulimit -s 8192 before the start"));
  const std::int64_t processes = kProcessesBesideThreads + 2 * static_cast<std::int64_t>(threads_of(ranks));
  append(found, low_limit(host, limits.processes, processes,
                          fmt::format("{} processes and threads of this user, {} are wanted",
                                      limits.processes.value_or(0), processes),
                          "ulimit -u 4096 before the start, or --threads 1"));
  if (!host.fabrics.empty()) {
    append(found, low_limit(host, limits.locked_bytes, kLeastLocked,
                            fmt::format("{} of locked memory, with {} on this host",
                                        bytes_text(limits.locked_bytes.value_or(0)), host.fabrics.front()),
                            "ulimit -l unlimited: without it the fabric cannot register buffers and MPI falls back "
                            "to TCP; in Slurm PropagateResourceLimits"));
  }
  if (found.empty()) found.push_back({Severity::ok, "limits", host.name, "files, stack, processes suffice", ""});
  return found;
}

Diagnoses check_disk(const HostFacts& host, const RanksOfHost&) {
  constexpr std::int64_t kNoRoom = 100 * kMiB;  // of a run of the preset with its checkpoint, ten times over
  constexpr std::int64_t kLittleRoom = 2 * kGiB;
  constexpr double kSlow = 20e6;
  const DiskFacts& disk = host.disk;
  const std::string free = bytes_text(disk.free_bytes);
  const auto finding = [&](Severity severity, std::string text, std::string advice) {
    return Diagnoses{{severity, "disk", host.name, std::move(text), std::move(advice)}};
  };
  if (!disk.failure.empty()) {
    return finding(Severity::error, fmt::format("{}: {}", disk.folder, disk.failure),
                   "--run in a folder that can be written");
  }
  if (disk.free_bytes < kNoRoom)
    return finding(Severity::error, fmt::format("{}: {} free", disk.folder, free),
                   "make room, or --run on another disk");
  if (disk.free_bytes < kLittleRoom) {
    return finding(Severity::warning, fmt::format("{}: {} free, which a few checkpoints fill", disk.folder, free),
                   "make room, or --run on another disk");
  }
  const std::string speed = scaled_text(disk.write_bytes_per_s, "B/s");
  if (disk.write_bytes_per_s < kSlow) {
    return finding(Severity::warning, fmt::format("{}: written at {}", disk.folder, speed),
                   "--run on a parallel or a local disk: checkpoints stop the training meanwhile");
  }
  return finding(Severity::ok, fmt::format("{}: {} free, written at {}", disk.folder, free, speed), "");
}

Diagnoses check_gpus(const HostFacts& host, const RanksOfHost&) {
  const auto finding = [&](Severity severity, std::string text, std::string advice) {
    return Diagnoses{{severity, "gpu", host.name, std::move(text), std::move(advice)}};
  };
  const bool has_devices = host.gpu_devices > 0;
  if (has_devices && host.gpus.empty()) {
    return finding(Severity::warning,
                   fmt::format("{} device files of NVIDIA, but nvidia-smi lists none", host.gpu_devices),
                   "the driver is not loaded or does not fit its tools: nvidia-smi says more");
  }
  if (!host.gpus.empty() && !host.has_cuda_driver) {
    return finding(Severity::warning, fmt::format("{} GPUs, but libcuda cannot be loaded", host.gpus.size()),
                   "in a container, start it with the GPUs (docker --gpus all, apptainer --nv)");
  }
  if (!host.gpus.empty()) {
    const Gpu& first = host.gpus.front();
    if (host.versions.contains("CUDA") && !at_least(first.driver, kLeastDriver)) {
      return finding(Severity::error,
                     fmt::format("driver {} is older than {}, which CUDA {} needs", first.driver, kLeastDriver,
                                 host.versions.at("CUDA")),
                     "ask for a newer driver, or build with -DDML_WITH_CUDA=OFF for processors");
    }
    return finding(
        Severity::ok,
        fmt::format("{} x {}, {} MiB, driver {}", host.gpus.size(), first.name, first.memory_mib, first.driver), "");
  }
  return finding(Severity::ok, "none: neither NVIDIA devices nor a driver; ranks compute on processors", "");
}

Diagnoses check_versions(const HostFacts& host, const RanksOfHost&) {
  Diagnoses found;
  std::string all;
  for (const MinimumVersion& minimum : kMinimumVersions) {
    const auto version = host.versions.find(std::string(minimum.name));
    if (version == host.versions.end()) continue;
    all += fmt::format("{}{} {}", all.empty() ? "" : ", ", minimum.name, version->second);
    if (at_least(version->second, minimum.least)) continue;
    found.push_back({Severity::warning, "versions", host.name,
                     fmt::format("{} {} is older than {}", minimum.name, version->second, minimum.least),
                     fmt::format("install {} {} or later and build again; older ones were never tried", minimum.name,
                                 minimum.least)});
  }
  if (found.empty()) found.push_back({Severity::ok, "versions", host.name, all, ""});
  return found;
}

}  // namespace dml
