// Watching a job from outside: its log as it grows, and its state.
#pragma once

#include <string>

#include "launch/terminal/terminal.h"

namespace dml {

/// Prints the log of a job until all of it is over. 0 where it was done; otherwise the job's exit code, or 1 where
/// Slurm ended it. Throws UsageError in Slurm's words.
int follow_job(const std::string& id, Terminal& terminal);

/// Prints the log as it is now.
void print_log(const std::string& id, Terminal& terminal);

/// A table of the job, or of an array's jobs.
std::string job_status(const std::string& id, Style style);

}  // namespace dml
