// What the doctor says: tables for a terminal, JSON for programs.
#pragma once

#include <string>

#include "launch/doctor/checks.h"
#include "launch/doctor/facts.h"
#include "launch/terminal/style.h"

namespace dml {

/// Hosts, links, collectives, then the findings with their advice, the worst last, and one line that counts them.
std::string doctor_text(const DoctorFacts& facts, const Diagnoses& findings, Style style);

/// Keys: hosts, ranks, links, collectives, trainings (members of facts.h by name), findings, and the numbers of errors,
/// warnings and notes.
std::string doctor_json(const DoctorFacts& facts, const Diagnoses& findings);

}  // namespace dml
