// What facts mean: findings, each with what to do about it. Pure; the thresholds are in the sources, with their
// reasons.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "launch/doctor/facts.h"

namespace dml {

/// ok: as it should be. note: worth knowing. warning: works, but slowly or not for long. error: training fails or is
/// wrong.
enum class Severity : std::uint8_t { ok, note, warning, error };
std::string_view name_of(Severity severity);

struct Diagnosis {
  Severity severity = Severity::ok;
  std::string area;    ///< "memory": one word, the same for all findings of a check
  std::string where;   ///< a host, ranks; empty: everything
  std::string text;    ///< what was found, with the numbers
  std::string advice;  ///< what to do; empty where all is well
};

using Diagnoses = std::vector<Diagnosis>;

/// All of the checks below on all hosts and ranks, area by area; a check that has nothing to complain about says so by
/// a finding that is ok.
Diagnoses check_all(const DoctorFacts& facts);
int count(const Diagnoses& findings, Severity severity);

// Of one host; `ranks` are those that live on it.
using RanksOfHost = std::vector<const RankFacts*>;
Diagnoses check_cores(const HostFacts& host, const RanksOfHost& ranks);
Diagnoses check_waiting(const HostFacts& host, const RanksOfHost& ranks);
Diagnoses check_memory(const HostFacts& host, const RanksOfHost& ranks);
Diagnoses check_limits(const HostFacts& host, const RanksOfHost& ranks);
Diagnoses check_disk(const HostFacts& host, const RanksOfHost& ranks);
Diagnoses check_gpus(const HostFacts& host, const RanksOfHost& ranks);
Diagnoses check_versions(const HostFacts& host, const RanksOfHost& ranks);

// Of all together.
Diagnoses check_alike(const DoctorFacts& facts);
Diagnoses check_clocks(const DoctorFacts& facts);
Diagnoses check_network(const DoctorFacts& facts);
Diagnoses check_links(const DoctorFacts& facts);
Diagnoses check_collectives(const DoctorFacts& facts);
Diagnoses check_kernels(const DoctorFacts& facts);
Diagnoses check_transfers(const DoctorFacts& facts);
Diagnoses check_training(const DoctorFacts& facts);

}  // namespace dml
