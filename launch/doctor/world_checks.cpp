// Checks of all hosts together: that they are alike, their clocks, networks, links, collectives, and what they compute.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "launch/doctor/checks.h"
#include "launch/doctor/compute_probe.h"
#include "launch/terminal/number_text.h"
#include "runtime/calibrate/samples.h"

namespace dml {
namespace {

Diagnosis of_all(Severity severity, std::string area, std::string text, std::string advice = "") {
  return {severity, std::move(area), "", std::move(text), std::move(advice)};
}

const std::string& host_of(const DoctorFacts& facts, int rank) {
  return facts.ranks.at(static_cast<std::size_t>(rank)).host;
}

/// A finding where hosts differ in what `value` says of them: each value with its first host.
Diagnoses differing(const DoctorFacts& facts, const std::string& what, Severity severity, const std::string& advice,
                    const std::function<std::string(const HostFacts&)>& value) {
  std::map<std::string, std::string> first_hosts;
  for (const HostFacts& host : facts.hosts) first_hosts.emplace(value(host), host.name);
  if (first_hosts.size() <= 1) return {};
  std::vector<std::string> parts;
  for (const auto& [text, host] : first_hosts)
    parts.push_back(fmt::format("{} on {}", text.empty() ? "none" : text, host));
  return {of_all(severity, "alike", fmt::format("{} differs: {}", what, fmt::join(parts, ", ")), advice)};
}

void append_to(Diagnoses& to, Diagnoses from) { to.insert(to.end(), from.begin(), from.end()); }

/// Links are compared with their like only: inside hosts, or between them.
struct LinkClass {
  std::string_view name;
  std::vector<const LinkFacts*> links;
  double latency_s = 0, bytes_per_s = 0;  ///< medians
};

LinkClass link_class(const DoctorFacts& facts, bool is_between_hosts) {
  LinkClass found{is_between_hosts ? "between hosts" : "inside hosts", {}};
  std::vector<double> latencies, rates;
  for (const LinkFacts& link : facts.links) {
    if ((host_of(facts, link.from) != host_of(facts, link.to)) != is_between_hosts) continue;
    found.links.push_back(&link);
    latencies.push_back(link.latency_s);
    rates.push_back(link.bytes_per_s);
  }
  found.latency_s = median(latencies);
  found.bytes_per_s = median(rates);
  return found;
}

/// A disturbed measurement is off by two or three; a wrong cable, a wrong interface or a fallback by ten.
constexpr double kSlowLink = 5;

std::string link_words(const DoctorFacts& facts, const LinkFacts& link) {
  return fmt::format("ranks {} ({}) and {} ({})", link.from, host_of(facts, link.from), link.to,
                     host_of(facts, link.to));
}

std::string speed_words(double latency_s, double bytes_per_s) {
  return fmt::format("{}, {}", seconds_text(latency_s), scaled_text(bytes_per_s, "B/s"));
}

Diagnoses slow_links(const DoctorFacts& facts, const LinkClass& of) {
  constexpr std::size_t kLeastToCompare = 3;
  constexpr double kUnseenLatency = 200e-6;  // ranks that share cores wait for them so long
  Diagnoses found;
  if (of.links.size() < kLeastToCompare) return found;
  for (const LinkFacts* link : of.links) {
    const bool is_late = link->latency_s > kSlowLink * of.latency_s && link->latency_s > kUnseenLatency;
    if (!is_late && link->bytes_per_s * kSlowLink >= of.bytes_per_s) continue;
    found.push_back({Severity::warning, "links", link_words(facts, *link),
                     fmt::format("{}, others {} have {}", speed_words(link->latency_s, link->bytes_per_s), of.name,
                                 speed_words(of.latency_s, of.bytes_per_s)),
                     "cable, port or interface of these hosts (ip -s link); leave the host out, or keep the tensor "
                     "axis off this link"});
  }
  return found;
}

Diagnoses slow_network(const LinkClass& between) {
  constexpr double kGigabitEthernet = 130e6;
  if (between.links.empty() || between.bytes_per_s >= kGigabitEthernet) return {};
  return {of_all(Severity::warning, "links",
                 fmt::format("hosts talk at {}, as over 1 Gbit/s Ethernet", scaled_text(between.bytes_per_s, "B/s")),
                 "choose the fast interface: --mca btl_tcp_if_include NAME, or MPI built with UCX for the fabric")};
}

/// Whether Open MPI has one of the transports for InfiniBand and its like.
bool speaks_fabric(const HostFacts& host) {
  constexpr std::string_view kFast[] = {"pml ucx", "mtl ofi", "mtl psm2", "btl openib", "btl uct"};
  return std::any_of(host.transports.begin(), host.transports.end(), [&](const std::string& transport) {
    return std::find(std::begin(kFast), std::end(kFast), transport) != std::end(kFast);
  });
}

std::string slower_words(const CollectiveFacts& of) {
  return fmt::format("{} of {} on {} ranks takes {}, {} were expected", name_of(of.kind),
                     bytes_text(static_cast<std::int64_t>(of.bytes)), of.ranks, seconds_text(of.seconds),
                     seconds_text(of.expected_s));
}

/// What is wrong with the losses of a training; empty where they are as known.
std::string wrong_loss(const TrainingFacts& training) {
  const std::span<const double> known = known_losses();
  if (training.losses.size() != known.size())
    return fmt::format("{} of {} steps have a loss", training.losses.size(), known.size());
  for (std::size_t step = 0; step < known.size(); ++step) {
    const double loss = training.losses[step];
    if (std::abs(loss - known[step]) <= kKnownLossTolerance * known[step]) continue;
    return fmt::format("the loss of step {} is {:.6f}, it should be {:.6f}", step, loss, known[step]);
  }
  return "";
}

}  // namespace

Diagnoses check_alike(const DoctorFacts& facts) {
  Diagnoses found;
  std::map<std::string, bool> names;
  for (const HostFacts& host : facts.hosts)
    for (const auto& entry : host.versions) names.emplace(entry.first, true);
  for (const auto& entry : names) {
    const std::string& name = entry.first;
    append_to(found, differing(facts, name, Severity::error,
                               "the same build and libraries on all hosts: a shared folder, or a container",
                               [&](const HostFacts& host) {
                                 const auto version = host.versions.find(name);
                                 return version == host.versions.end() ? "" : version->second;
                               }));
  }
  append_to(found, differing(facts, "the instruction set", Severity::warning,
                             "--isa with the lowest of them, so that all compute alike; the slowest host sets the pace",
                             [](const HostFacts& host) { return host.instruction_set; }));
  append_to(found, differing(facts, "the number of cores", Severity::note,
                             "the slowest host sets the pace: the same kind of host for all",
                             [](const HostFacts& host) { return std::to_string(host.granted_cores); }));
  if (found.empty() && facts.hosts.size() > 1)
    found.push_back(of_all(Severity::ok, "alike", fmt::format("{} hosts of one kind", facts.hosts.size())));
  return found;
}

Diagnoses check_clocks(const DoctorFacts& facts) {
  constexpr double kSkewed = 1;
  constexpr double kDrifting = 0.05;  // network time keeps hosts within a few milliseconds
  Diagnoses found;
  double largest = 0;
  for (const HostFacts& host : facts.hosts) {
    const auto rank = std::find_if(facts.ranks.begin(), facts.ranks.end(),
                                   [&](const RankFacts& its) { return its.host == host.name; });
    if (rank == facts.ranks.end()) continue;
    const double ahead = rank->clock_ahead_s;
    largest = std::max(largest, std::abs(ahead));
    if (std::abs(ahead) < kDrifting) continue;
    found.push_back({std::abs(ahead) < kSkewed ? Severity::note : Severity::warning, "clocks", host.name,
                     fmt::format("{} {} {}", seconds_text(std::abs(ahead)), ahead > 0 ? "ahead of" : "behind",
                                 facts.hosts.front().name),
                     "chronyc makestep, or timedatectl set-ntp true: logs cannot be put in order, and keys of munge "
                     "expire"});
  }
  if (found.empty() && facts.hosts.size() > 1)
    found.push_back(of_all(Severity::ok, "clocks", fmt::format("within {}", seconds_text(largest))));
  return found;
}

Diagnoses check_network(const DoctorFacts& facts) {
  if (facts.hosts.size() < 2) return {};
  Diagnoses found;
  for (const HostFacts& host : facts.hosts) {
    if (host.fabrics.empty() || host.transports.empty() || speaks_fabric(host)) continue;
    found.push_back(
        {Severity::warning, "network", host.name,
         fmt::format("{} is there, but this Open MPI has no transport for it", host.fabrics.front()),
         "load the site's MPI module (built with UCX or libfabric) and build with it: TCP is several times slower"});
  }
  const auto is_bridge = [](const NetworkInterface& one) {
    return one.name.starts_with("docker") || one.name.starts_with("virbr") || one.name.starts_with("br-");
  };
  for (const HostFacts& host : facts.hosts) {
    const auto rank = std::find_if(facts.ranks.begin(), facts.ranks.end(),
                                   [&](const RankFacts& its) { return its.host == host.name; });
    const bool is_told = rank != facts.ranks.end() && (rank->environment.contains("OMPI_MCA_btl_tcp_if_include") ||
                                                       rank->environment.contains("OMPI_MCA_btl_tcp_if_exclude"));
    const auto bridge = std::find_if(host.networks.begin(), host.networks.end(), is_bridge);
    if (bridge == host.networks.end() || is_told) continue;
    found.push_back({Severity::note, "network", host.name,
                     fmt::format("{} leads nowhere outside this host", bridge->name),
                     "if a start hangs: --mca btl_tcp_if_exclude lo," + bridge->name});
  }
  if (found.empty()) found.push_back(of_all(Severity::ok, "network", "no interface that leads nowhere"));
  return found;
}

Diagnoses check_links(const DoctorFacts& facts) {
  if (facts.links.empty()) return {};
  const LinkClass inside = link_class(facts, false);
  const LinkClass between = link_class(facts, true);
  Diagnoses found;
  for (const LinkClass* of : {&inside, &between})
    for (Diagnosis& slow : slow_links(facts, *of)) found.push_back(std::move(slow));
  for (Diagnosis& slow : slow_network(between)) found.push_back(std::move(slow));
  if (!found.empty()) return found;
  for (const LinkClass* of : {&inside, &between}) {
    if (of->links.empty()) continue;
    found.push_back(
        of_all(Severity::ok, "links",
               fmt::format("{} {}: {}", of->links.size(), of->name, speed_words(of->latency_s, of->bytes_per_s))));
  }
  return found;
}

Diagnoses check_collectives(const DoctorFacts& facts) {
  constexpr double kSlow = 3;  // what another load on the machine does not explain
  if (facts.collectives.empty()) return {};
  if (facts.calibration.empty())
    return {of_all(Severity::ok, "collectives", "measured; --hardware calibrated:FILE says what to expect")};
  const CollectiveFacts* worst = nullptr;
  const auto excess = [](const CollectiveFacts& of) { return of.seconds / of.expected_s; };
  for (const CollectiveFacts& of : facts.collectives) {
    if (of.expected_s > 0 && (worst == nullptr || excess(of) > excess(*worst))) worst = &of;
  }
  if (worst == nullptr)
    return {of_all(Severity::note, "collectives", fmt::format("{} has nothing of them", facts.calibration),
                   "dmltrain calibrate under the same mpirun measures what to expect")};
  if (excess(*worst) <= kSlow) {
    return {of_all(Severity::ok, "collectives",
                   fmt::format("at most {:.1f} times what {} expects", excess(*worst), facts.calibration))};
  }
  return {of_all(Severity::warning, "collectives", slower_words(*worst),
                 "other programs on these hosts, another binding than when it was calibrated, or a slower transport "
                 "(OMPI_MCA_btl, OMPI_MCA_pml)")};
}

Diagnoses check_kernels(const DoctorFacts& facts) {
  Diagnoses found;
  int operations = 0;
  double worst = 0;
  for (const DeviceFacts& device : facts.devices) {
    const std::string where = fmt::format("rank {} ({}, {})", device.rank, host_of(facts, device.rank), device.name);
    if (!device.failure.empty()) {
      found.push_back({Severity::error, "kernels", where, device.failure,
                       "nvidia-smi tells whether the device is well; --device cpu trains without it"});
    }
    for (const OperationDifference& of : device.operations) {
      ++operations;
      worst = std::max(worst, of.worst);
      if (of.worst <= kKernelTolerance) continue;
      found.push_back(
          {Severity::error, "kernels", where,
           fmt::format("{} differs from the processor's by {:.1e} of its largest element, at {}", of.operation,
                       of.worst, of.where),
           "do not train on it before it is right: other versions of the driver, cuBLAS or cuDNN, or --device "
           "cpu"});
    }
  }
  if (found.empty() && !facts.devices.empty()) {
    found.push_back(of_all(Severity::ok, "kernels",
                           fmt::format("{} operations on {} GPU{} as on processors, to {:.1e}", operations,
                                       facts.devices.size(), facts.devices.size() == 1 ? "" : "s", worst)));
  }
  return found;
}

Diagnoses check_transfers(const DoctorFacts& facts) {
  Diagnoses found;
  std::size_t checks = 0;
  for (const DeviceFacts& device : facts.devices) {
    const auto add = [&](std::string text) {
      found.push_back({Severity::error, "nccl",
                       fmt::format("rank {} ({}, {})", device.rank, host_of(facts, device.rank), device.name),
                       std::move(text),
                       "NCCL_DEBUG=INFO tells the way it took; NCCL_P2P_DISABLE=1 or NCCL_IB_DISABLE=1 takes another"});
    };
    checks = std::max(checks, device.transfers.size());
    for (const TransferCheck& of : device.transfers) {
      if (of.wrong == 0) continue;
      add(fmt::format("{} of {} elements over {} GPUs brought {} wrong ones", of.operation, of.elements,
                      facts.devices.size(), of.wrong));
    }
    if (!device.transfer_failure.empty()) add(device.transfer_failure);
  }
  if (found.empty() && checks > 0) {
    found.push_back(
        of_all(Severity::ok, "nccl",
               fmt::format("{} operations over {} GPUs bring what they should", checks, facts.devices.size())));
  }
  return found;
}

Diagnoses check_training(const DoctorFacts& facts) {
  Diagnoses found;
  for (const TrainingFacts& training : facts.trainings) {
    const std::string wrong = training.failure.empty() ? wrong_loss(training) : training.failure;
    if (wrong.empty()) continue;
    found.push_back({Severity::error, "training",
                     fmt::format("ranks from {} ({})", training.first_rank, host_of(facts, training.first_rank)),
                     fmt::format("the known training ({}): {}", training.layout, wrong),
                     "do not train here before it is right: --isa portable tells whether kernels are wrong, one host "
                     "alone whether it is the hosts; tests/run tells which operation"});
  }
  if (found.empty() && !facts.trainings.empty()) {
    found.push_back(of_all(Severity::ok, "training",
                           fmt::format("{} steps of a known training ({}) have the known losses", known_losses().size(),
                                       facts.trainings.front().layout)));
  }
  return found;
}

}  // namespace dml
