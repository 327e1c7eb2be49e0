#include "parallel/cost/hardware.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <tuple>

#include "models/op.h"
#include "parallel/cost/kernel_size.h"

namespace dml {
namespace {

constexpr double kF32Bytes = 4;
constexpr int kSendRanks = 2;

void require(bool holds, std::string_view part, double value, std::string_view wanted) {
  if (!holds) throw std::invalid_argument(fmt::format("[hardware] {} is {}; it should be {}", part, value, wanted));
}

void require_positive(double value, std::string_view part) {
  require(std::isfinite(value) && value > 0, part, value, "above 0");
}

void require_not_negative(double value, std::string_view part) {
  require(std::isfinite(value) && value >= 0, part, value, "0 or more");
}

void require_part(double value, std::string_view part) {
  require(value > 0 && value <= 1, part, value, "above 0 and at most 1");
}

void check(const Peaks& peaks) {
  require_positive(peaks.f32_flops, "the peak of f32");
  require_not_negative(peaks.f16_flops, "the peak of f16");
  require_part(peaks.efficiency, "the efficiency of products");
  require(peaks.sizes_flops.size() == peaks.efficiencies.size(), "the number of efficiencies by size",
          static_cast<double>(peaks.efficiencies.size()), "that of the sizes");
  double below = 0;
  for (const double size : peaks.sizes_flops) {
    require(size > below, "a size of products", size, "above the size before");
    below = size;
  }
  for (const double part : peaks.efficiencies) require_part(part, "an efficiency of products");
  require_positive(peaks.memory_bytes_per_s, "the memory bandwidth");
  require_part(peaks.memory_efficiency, "the efficiency of memory");
}

void check(const Link& link) {
  require_not_negative(link.latency, "the latency of a link");
  require_positive(link.bytes_per_s, "the bandwidth of a link");
}

void check(std::span<const LinkLevel> levels) {
  int ranks = 0;
  for (const LinkLevel& level : levels) {
    require(level.ranks > ranks, "the number of ranks of a level of links", level.ranks, "above the level's before");
    check(level.link);
    ranks = level.ranks;
  }
}

void check(const RankRange& ranks) {
  require(ranks.first >= 0, "the first rank of a link", ranks.first, "0 or more");
  require(ranks.last >= ranks.first, "the last rank of a link", ranks.last, "no lower than the first");
}

void check(std::span<const LinkOverride> links) {
  for (const LinkOverride& link : links) {
    check(link.ranks);
    check(link.others);
    check(link.link);
  }
}

/// What the message of a table's check begins with.
template <typename Check>
void named(const std::string& name, Check check) {
  try {
    check();
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(fmt::format("{}: {}", name, error.what()));
  }
}

/// The table of as many threads, else of the nearest number; of these, that of the most ranks which are not more than
/// the mode's, else of the fewest. Null where there is none.
const KernelTable* find_table(const Hardware& hardware, std::string_view family, const ComputeMode& mode) {
  const auto found = hardware.kernels.find(family);
  if (found == hardware.kernels.end() || found->second.empty()) return nullptr;
  const auto distance = [&](const KernelTable& table) {
    const int ranks = mode.ranks_per_host;
    return std::tuple(std::abs(std::log(1.0 * table.threads / mode.threads)), table.ranks > ranks,
                      std::abs(table.ranks - ranks));
  };
  return &*std::min_element(found->second.begin(), found->second.end(),
                            [&](const KernelTable& a, const KernelTable& b) { return distance(a) < distance(b); });
}

double stretch(const Hardware& hardware, const ComputeMode& mode) {
  return 1 +
         hardware.disturbance * std::clamp(mode.ranks_per_host * mode.threads, 1, std::max(hardware.cores_per_host, 1));
}

/// With the launch. What goes beyond the smallest size is divided among the threads.
double measured_seconds(const Hardware& hardware, const KernelTable& kernel, std::span<const double> sizes,
                        const ComputeMode& mode) {
  double seconds = kernel.table.seconds_at(sizes);
  if (kernel.threads != mode.threads) {
    const double fixed = std::min(seconds, kernel.table.seconds.front());
    seconds = fixed + (seconds - fixed) * kernel.threads / mode.threads;
  }
  return hardware.launch_seconds + seconds * stretch(hardware, mode);
}

bool is_half(DataType dtype) { return dtype == DataType::f16 || dtype == DataType::bf16; }

/// f32 unless the operation reads or writes half precision.
DataType arithmetic_type(const Graph& graph, const Node& node) {
  for (const auto* ids : {&node.inputs, &node.outputs}) {
    for (const ValueId id : *ids) {
      if (id != kNone && is_half(graph.value(id).dtype)) return graph.value(id).dtype;
    }
  }
  return DataType::f32;
}

double peak_flops(const Peaks& peaks, DataType dtype) {
  return is_half(dtype) && peaks.f16_flops > 0 ? peaks.f16_flops : peaks.f32_flops;
}

double roofline_seconds(const Peaks& peaks, double flops, double bytes, DataType dtype) {
  const double arithmetic = flops > 0 ? flops / (peak_flops(peaks, dtype) * peaks.efficiency_at(flops)) : 0;
  return std::max(arithmetic, bytes / (peaks.memory_bytes_per_s * peaks.memory_efficiency));
}

/// Bytes that a loop over memory reads and writes, with the launch.
double seconds_of_bytes(const Hardware& hardware, std::string_view family, double bytes, const ComputeMode& mode) {
  if (bytes <= 0) return 0;
  const KernelTable* const kernel = find_table(hardware, family, mode);
  if (kernel != nullptr) return measured_seconds(hardware, *kernel, std::span(&bytes, 1), mode);
  return hardware.launch_seconds + roofline_seconds(hardware.peaks, 0, bytes, DataType::f32);
}

/// Members of the group among the consecutive ranks of one level.
int members_within(const LinkLevel& level, const CommGroup& group) {
  return std::clamp(level.ranks / group.stride, 1, group.ranks);
}

double seconds_at_level(const Hardware& hardware, const LinkLevel& level, CommKind kind, double bytes,
                        const GroupLevel& members) {
  const int units = members.units;
  const auto seconds_by = [&](CollectiveAlgorithm algorithm) {
    Link link = slowest_link(hardware.links, level.link, members, algorithm);
    if (level.joins_pairs && algorithm == CollectiveAlgorithm::direct) link.bytes_per_s *= std::max(1, units - 1);
    return seconds_of(kind, algorithm, bytes, units, link);
  };
  if (level.algorithm != CollectiveAlgorithm::automatic) return seconds_by(level.algorithm);
  const double fastest = std::min(seconds_by(CollectiveAlgorithm::ring), seconds_by(CollectiveAlgorithm::tree));
  return level.joins_pairs ? std::min(fastest, seconds_by(CollectiveAlgorithm::direct)) : fastest;
}

/// From level number `at` on, for what is left when `inside` members each act as one.
double hierarchical_seconds(const Hardware& hardware, std::size_t at, CommKind kind, double bytes,
                            const CommGroup& group, int inside) {
  const LinkLevel& level = hardware.levels[at];
  const bool is_last = at + 1 == hardware.levels.size();
  const int within = is_last ? group.ranks : members_within(level, group);
  const int here = (within + inside - 1) / inside;
  const auto at_this_level = [&](CommKind part) {
    return seconds_at_level(hardware, level, part, bytes, {group, inside, here});
  };
  if (is_last || within == group.ranks) return at_this_level(kind);
  const auto beyond = [&](double remaining) {
    return hierarchical_seconds(hardware, at + 1, kind, remaining, group, inside * here);
  };
  if (kind == CommKind::broadcast) return at_this_level(kind) + beyond(bytes);
  if (kind != CommKind::all_reduce) return at_this_level(kind) + beyond(bytes / here);
  return at_this_level(CommKind::reduce_scatter) + beyond(bytes / here) + at_this_level(CommKind::all_gather);
}

bool is_within_host(const Hardware& hardware, int ranks) {
  return hardware.ranks_per_host == 0 || ranks <= hardware.ranks_per_host;
}

/// The measurement of this kind, or null.
const SizeTable* find_comm(const Hardware& hardware, CommKind kind) {
  const auto found = hardware.comm.find(kind);
  return found == hardware.comm.end() ? nullptr : &found->second;
}

double seconds_of_table(const SizeTable& table, int ranks, double bytes) {
  const double sizes[] = {static_cast<double>(ranks), std::max(bytes, 1.0)};
  return table.seconds_at(sizes);
}

void require_levels(const Hardware& hardware) {
  if (hardware.levels.empty())
    throw std::invalid_argument(fmt::format("[hardware] {} has no links between ranks", hardware.name));
}

}  // namespace

double Peaks::efficiency_at(double flops) const {
  if (sizes_flops.empty()) return efficiency;
  if (flops <= sizes_flops.front()) return efficiencies.front();
  if (flops >= sizes_flops.back()) return efficiencies.back();
  const auto above =
      static_cast<std::size_t>(std::upper_bound(sizes_flops.begin(), sizes_flops.end(), flops) - sizes_flops.begin());
  const double part = std::log(flops / sizes_flops[above - 1]) / std::log(sizes_flops[above] / sizes_flops[above - 1]);
  return std::lerp(efficiencies[above - 1], efficiencies[above], part);
}

void Hardware::check() const {
  require_not_negative(launch_seconds, "the launch of a task");
  require_not_negative(dispatch_seconds, "the dispatch of a task");
  require_not_negative(step_seconds, "what a step takes beside its tasks");
  require_not_negative(disturbance, "the disturbance of a core");
  require_not_negative(memory_bytes, "the memory of a device");
  require(overlap_slowdown >= 1, "the slow-down beside communication", overlap_slowdown, "1 or more");
  require_not_negative(host_bytes_per_s, "the bandwidth of a host");
  require(host_bytes_per_s == 0 || ranks_per_host > 0, "the number of ranks that share the bandwidth of a host",
          ranks_per_host, "given, as ranks_per_host");
  require(host_bytes_per_s == 0 || !levels.empty(), "the bandwidth of a host", host_bytes_per_s,
          "given beside the links of a level, which share it");
  require(cores_per_host == 0 || (host_bytes_per_s == 0 && overlap_slowdown == 1),
          "the number of cores that communicate themselves", cores_per_host,
          "0 where a host's bandwidth or a slow-down is given: these are of devices");
  require(cores_per_host >= 0, "the number of cores of a host", cores_per_host, "0 or more");
  require(ranks >= 0, "the number of ranks", ranks, "0 or more");
  require(ranks_per_host >= 0, "the number of ranks of a host", ranks_per_host, "0 or more");
  dml::check(peaks);
  dml::check(levels);
  dml::check(links);
  for (const auto& [family, tables] : kernels) {
    for (const KernelTable& kernel : tables) {
      require(kernel.ranks > 0, "the number of ranks of " + family, kernel.ranks, "above 0");
      require(kernel.threads > 0, "the number of threads of " + family, kernel.threads, "above 0");
      named(family, [&] { kernel.table.check(); });
    }
  }
  for (const auto& [kind, table] : comm) {
    const std::string name(name_of(kind));
    named(name, [&] { table.check(); });
    require(table.axes.size() == 2, "the number of axes of " + name, static_cast<double>(table.axes.size()),
            "2: ranks and bytes");
  }
  for (const OtherDevices& other : others) {
    require(other.last_rank >= other.first_rank, "the last rank of other devices", other.last_rank,
            "no lower than the first");
    other.kind->check();
  }
}

void Hardware::check_world(int world) const {
  if (ranks == 0 || world <= ranks) return;
  throw std::invalid_argument(fmt::format("hardware '{}' has {} ranks, the layout {}", name, ranks, world));
}

const Hardware& Hardware::device_of(int rank) const {
  const auto holds = [rank](const OtherDevices& other) { return other.first_rank <= rank && rank <= other.last_rank; };
  const auto other = std::find_if(others.rbegin(), others.rend(), holds);
  return other == others.rend() ? *this : *other->kind;
}

std::vector<int> Hardware::link_ends_of(int rank) const {
  std::vector<int> ends;
  for (std::size_t i = 0; i < links.size(); ++i) {
    if (links[i].ranks.holds(rank)) ends.push_back(static_cast<int>(2 * i));
    if (links[i].others.holds(rank)) ends.push_back(static_cast<int>(2 * i + 1));
  }
  return ends;
}

double seconds_of(const Hardware& hardware, const Graph& graph, const Node& node, const ComputeMode& mode) {
  if (node.op->is_alias) return 0;
  const KernelSize size = kernel_size(graph, node);
  const std::span<const double> sizes = size.sizes();
  const bool is_empty = std::any_of(sizes.begin(), sizes.end(), [](double extent) { return extent <= 0; });
  if (is_empty) return hardware.launch_seconds;
  const DataType dtype = arithmetic_type(graph, node);
  const KernelTable* const kernel = dtype == DataType::f32 ? find_table(hardware, size.family, mode) : nullptr;
  if (kernel != nullptr && kernel->table.axes.size() == sizes.size()) {
    double seconds = measured_seconds(hardware, *kernel, sizes, mode);
    if (const auto behind = following_loop(graph, node)) {
      const KernelTable* const loop = find_table(hardware, behind->family, mode);
      if (loop != nullptr) seconds += measured_seconds(hardware, *loop, behind->sizes(), mode);
    }
    return seconds;
  }
  const Cost cost = cost_of(graph, node);
  const double bytes = sizes.size() == 1 ? sizes.front() : cost.bytes;
  return hardware.launch_seconds + roofline_seconds(hardware.peaks, cost.flops, bytes, dtype);
}

double seconds_of_update(const Hardware& hardware, double num_elems, int states, const ComputeMode& mode) {
  const double accesses = 3 + 2.0 * states;  // weights and states read and written, gradients read
  return seconds_of_bytes(hardware, kUpdateFamily, num_elems * kF32Bytes * accesses, mode);
}

double seconds_of_memory(const Hardware& hardware, double bytes, const ComputeMode& mode) {
  return seconds_of_bytes(hardware, kSquaresFamily, bytes, mode);
}

double seconds_of(const Hardware& hardware, CommKind kind, double bytes, const CommGroup& group) {
  if (group.ranks <= 1) return 0;
  const SizeTable* const measured = find_comm(hardware, kind);
  if (measured != nullptr && is_within_host(hardware, group.ranks * group.stride) && !joins_any(hardware.links, group))
    return seconds_of_table(*measured, group.ranks, bytes);
  require_levels(hardware);
  return hierarchical_seconds(hardware, 0, kind, bytes, group, 1);
}

double seconds_of_send(const Hardware& hardware, double bytes, int from, int to) {
  if (const Link* own = find_override(hardware.links, from, to))
    return seconds_of(CommKind::send, CollectiveAlgorithm::direct, bytes, kSendRanks, *own);
  const auto same_group = [&](int ranks) { return from / ranks == to / ranks; };
  const SizeTable* const measured = find_comm(hardware, CommKind::send);
  if (measured != nullptr && (hardware.ranks_per_host == 0 || same_group(hardware.ranks_per_host)))
    return seconds_of_table(*measured, kSendRanks, bytes);
  require_levels(hardware);
  const auto level = std::find_if(hardware.levels.begin(), hardware.levels.end() - 1,
                                  [&](const LinkLevel& candidate) { return same_group(candidate.ranks); });
  return seconds_of(CommKind::send, level->algorithm, bytes, kSendRanks, level->link);
}

}  // namespace dml
