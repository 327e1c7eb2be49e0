#include "launch/commands/ranks_on_hosts.h"

#include <algorithm>

namespace dml {

RanksOnHosts ranks_on_hosts(const Hardware& hardware, int asked_threads, int world) {
  if (hardware.cores_per_host == 0) return {{.threads = std::max(asked_threads, 1)}, hosts_of(hardware, 1, 1)};
  const int ranks = hardware.ranks_per_host > 0 ? std::min(world, hardware.ranks_per_host) : world;
  const int threads = asked_threads > 0 ? asked_threads : std::max(1, hardware.cores_per_host / ranks);
  return {{.threads = threads, .ranks_per_host = ranks},
          hosts_of(hardware, ranks, static_cast<double>(hardware.cores_per_host) / threads)};
}

}  // namespace dml
