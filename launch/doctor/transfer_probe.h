// Whether the operations between GPUs bring what they should.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "launch/doctor/facts.h"
#include "runtime/comm/communicator.h"
#include "runtime/device/device.h"

namespace dml {

struct Transfers {
  std::vector<TransferCheck> checks;  ///< those that came to their end on all ranks; none where there is one rank
  std::string failure;                ///< what failed on this rank; empty where nothing did
};

/// Collective over `world`, whose ranks each have a `device` with memory of its own: every kind of operation between
/// the devices, small and large, on whole numbers, whose sums are exact. An operation that fails, or takes longer than
/// `deadline`, is a fact, and the last one on all ranks; `world` is whole after it. Below half of the world's own
/// deadline those who got through wait for those who did not. Throws what `world` throws.
Transfers probe_transfers(Communicator& world, Device& device, std::chrono::milliseconds deadline);

/// What `rank` has at `element` of its operand, from 1 to 40: floats add those of 700,000 ranks exactly.
float transfer_addend(int rank, std::int64_t element);
/// The sum over ranks 0 to `ranks` - 1.
float transfer_sum(int ranks, std::int64_t element);

/// Collective. Whether something failed on any rank.
bool any_failed(Communicator& world, bool failed_here);

}  // namespace dml
