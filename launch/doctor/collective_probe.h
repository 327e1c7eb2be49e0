// Whether the operations between GPUs bring what they should.
#pragma once

#include <vector>

#include "launch/doctor/facts.h"
#include "runtime/comm/communicator.h"
#include "runtime/device/device.h"

namespace dml {

/// Collective over `world`, whose ranks each have a `device` with memory of its own: every kind of operation between
/// the devices, small and large, on whole numbers, whose sums are exact. What this rank got. Throws DeviceError,
/// CommError and TimeoutError.
std::vector<TransferCheck> probe_transfers(Communicator& world, Device& device);

}  // namespace dml
