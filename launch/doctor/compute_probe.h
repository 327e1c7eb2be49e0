// Whether this machine, its devices, libraries and links compute what they should: operations on a GPU beside the
// processor, and a small training with known losses.
#pragma once

#include <chrono>
#include <span>
#include <string>

#include "launch/doctor/facts.h"
#include "runtime/comm/communicator.h"

namespace dml {

/// How far an operation of a GPU may be off, relative to the largest element of its result (OperationDifference). Sums
/// of these sizes in another order differ by some 1e-6; a kernel that is wrong, or products that round their operands
/// to TF32, by 1e-3.
inline constexpr double kKernelTolerance = 1e-4;

/// Collective. Executes the operations of training small models of every kind on the device that this rank would train
/// on, and on its processor, and every operation between such devices, with a `deadline` for each. `device` is "auto",
/// "cpu" or "cuda"; nothing to tell where that is the processor. What fails is a fact. Throws DeviceError where "cuda"
/// cannot be had.
DeviceFacts probe_kernels(Communicator& world, const std::string& device, std::chrono::milliseconds deadline);

/// The loss of each step, the same in every layout to rounding.
std::span<const double> known_losses();
/// By how much a loss may be off, relative to it. Layouts and instruction sets were seen to differ by 4e-8; the first
/// wrong digit of a kernel changes more than this.
inline constexpr double kKnownLossTolerance = 1e-5;

/// Collective: groups of up to 16 consecutive ranks each do the training, over all axes that the group has ranks for.
/// What the caller's group got; complete on the group's first rank. A training that fails is a fact, unless the
/// failure is of communication: that throws.
TrainingFacts train_known(Communicator& world, int threads, const std::string& device);

}  // namespace dml
