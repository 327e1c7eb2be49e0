// What the files of a Linux host say of it: /proc, /sys, /dev. No launcher and no communication is needed.
#pragma once

#include <string>

#include "launch/doctor/facts.h"

namespace dml {

/// Everything of HostFacts that files tell, below `root` (tests have a tree of their own there): all but versions,
/// instruction sets, GPUs, limits and disk.
HostFacts probe_host(const std::string& root = "");

/// How many numbers a list of the kernel has: "0-3,8" has 5.
int count_of_list(const std::string& list);

/// The soft limits of this process.
ProcessLimits probe_limits();

}  // namespace dml
