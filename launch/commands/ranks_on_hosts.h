// How many ranks of a layout share a host of some hardware, and how many threads each has: what a prediction starts
// from.
#pragma once

#include "parallel/cost/task_cost.h"

namespace dml {

struct RanksOnHosts {
  ComputeMode compute;
  Hosts hosts;
};

/// Of `world` ranks with `asked_threads` each; 0: a host's cores shared evenly. Where ranks are devices of their own,
/// each is alone.
RanksOnHosts ranks_on_hosts(const Hardware& hardware, int asked_threads, int world);

}  // namespace dml
