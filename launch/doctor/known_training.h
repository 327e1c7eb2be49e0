// A small training with known losses: whether this machine, these libraries and these links compute what they should.
#pragma once

#include <span>

#include "launch/doctor/facts.h"
#include "runtime/comm/communicator.h"

namespace dml {

/// The loss of each step, the same in every layout to rounding.
std::span<const double> known_losses();
/// By how much a loss may be off, relative to it. Layouts and instruction sets were seen to differ by 4e-8; the first
/// wrong digit of a kernel changes more than this.
inline constexpr double kKnownLossTolerance = 1e-5;

/// Collective: groups of up to 16 consecutive ranks each do the training, over all axes that the group has ranks for.
/// What the caller's group got; complete on the group's first rank. A training that fails is a fact, unless the
/// failure is of communication: that throws.
TrainingFacts train_known(Communicator& world, int threads);

}  // namespace dml
