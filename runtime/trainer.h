// Trains: from a Config to updated weights, on one rank of a world. What is seen of it goes through the RunObserver.
#pragma once

#include "runtime/comm/communicator.h"
#include "runtime/config.h"
#include "runtime/records.h"

namespace dml {

/// Runs the training that `config` asks for on this rank; collective over `world`. Observer is called on rank 0.
void train(const Config& config, Communicator& world, RunObserver* observer);

}  // namespace dml
