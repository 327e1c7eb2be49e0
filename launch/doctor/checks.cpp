#include "launch/doctor/checks.h"

#include <algorithm>

namespace dml {
namespace {

RanksOfHost ranks_of(const DoctorFacts& facts, const HostFacts& host) {
  RanksOfHost ranks;
  for (const RankFacts& rank : facts.ranks)
    if (rank.host == host.name) ranks.push_back(&rank);
  return ranks;
}

constexpr Diagnoses (*kHostChecks[])(const HostFacts&, const RanksOfHost&) = {
    check_cores, check_waiting, check_memory, check_limits, check_disk, check_gpus, check_versions};

constexpr Diagnoses (*kWorldChecks[])(const DoctorFacts&) = {check_alike,     check_clocks,      check_network,
                                                             check_links,     check_collectives, check_kernels,
                                                             check_transfers, check_training};

}  // namespace

std::string_view name_of(Severity severity) {
  switch (severity) {
    case Severity::ok: return "ok";
    case Severity::note: return "note";
    case Severity::warning: return "warning";
    case Severity::error: return "error";
  }
  return "?";
}

Diagnoses check_all(const DoctorFacts& facts) {
  Diagnoses all;
  const auto add = [&](Diagnoses found) { all.insert(all.end(), found.begin(), found.end()); };
  for (const auto check : kHostChecks)
    for (const HostFacts& host : facts.hosts) add(check(host, ranks_of(facts, host)));
  for (const auto check : kWorldChecks) add(check(facts));
  return all;
}

int count(const Diagnoses& findings, Severity severity) {
  return static_cast<int>(std::count_if(findings.begin(), findings.end(),
                                        [&](const Diagnosis& finding) { return finding.severity == severity; }));
}

}  // namespace dml
