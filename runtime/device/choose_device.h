// Which device each rank of a run computes on.
#pragma once

#include <memory>
#include <string>

#include "runtime/comm/communicator.h"
#include "runtime/device/device.h"

namespace dml {

/// What was asked for and what it became, on all ranks alike.
struct ChosenDevice {
  std::unique_ptr<Device> device;
  std::string note;  ///< for the first page: why it is the CPU, or which GPU; empty where there is nothing to say
};

/// `wanted` is "auto" (GPUs where every rank has one, else CPUs), "cpu" or "cuda". The ranks of a host take its GPUs in
/// the order of their ranks, one each. Collective over `world`. Throws DeviceError on all ranks where "cuda" cannot be
/// had, or GPUs are fewer than the ranks of a host; and where `tf32` (make_cuda_device) is asked of CPUs.
ChosenDevice choose_device(const std::string& wanted, Communicator& world, bool tf32 = false);

}  // namespace dml
