// What ranks find out together: the links between them, their clocks, their collectives.
#pragma once

#include <string>
#include <vector>

#include "launch/doctor/facts.h"
#include "parallel/cost/hardware.h"
#include "runtime/comm/communicator.h"

namespace dml {

/// Ranks whose links are measured, each with each other: all of a small world, else the first of each host, else the
/// first ones. `hosts` are the names by rank.
std::vector<int> ranks_to_link(const std::vector<std::string>& hosts);

/// Collective. The pairs of `ranks` one after the other, so that none disturbs another; this rank's results are the
/// links that begin at it. The best of some round trips counts: what disturbs only ever adds.
std::vector<LinkFacts> measure_links(Communicator& world, const std::vector<int>& ranks);

/// Collective. By how many seconds this rank's time of day is ahead of rank 0's.
double clock_ahead(Communicator& world);

/// Collective. Every kind and size of measure_comm; expectations where `hardware` is given and has them.
std::vector<CollectiveFacts> measure_collectives(Communicator& world, const Hardware* hardware);

}  // namespace dml
