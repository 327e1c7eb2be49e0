// Trains: from a Config to updated weights, on one rank of a world. What is seen of it goes through the RunObserver.
#pragma once

#include "runtime/comm/communicator.h"
#include "runtime/config.h"
#include "runtime/records.h"

namespace dml {

struct TrainOutcome {
  bool stopped = false;    ///< by a request, before its last step, and saved
  std::int64_t steps = 0;  ///< that the model has been trained for
  std::string checkpoint;  ///< on rank 0: the last one written
};

/// Runs the training that `config` asks for on this rank; collective over `world`. Observer is called on rank 0.
TrainOutcome train(const Config& config, Communicator& world, RunObserver* observer);

}  // namespace dml
