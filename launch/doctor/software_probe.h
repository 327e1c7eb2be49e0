// What this program runs on: libraries, accelerators, and what the environment tells them.
#pragma once

#include <map>
#include <string>

#include "launch/doctor/facts.h"

namespace dml {

/// Fills versions, instruction sets and accelerators of `host`. Versions are those of the libraries that this process
/// has loaded, by their own words; one that does not say is left out. Starts nvidia-smi where there are devices.
void probe_software(HostFacts& host);

/// The GPUs of the text that `nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader,nounits`
/// prints.
std::vector<Gpu> parse_gpus(const std::string& csv);

/// The variables that say how threads wait, and what Open MPI, UCX and NCCL were told.
std::map<std::string, std::string> probe_environment();

}  // namespace dml
