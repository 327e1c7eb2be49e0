// The order of an examination: each rank looks at itself and its host, all measure together, rank 0 knows everything.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "launch/doctor/facts.h"
#include "parallel/cost/hardware.h"
#include "runtime/comm/communicator.h"

namespace dml {

struct ExaminationPlan {
  HostFacts host;                                        ///< of this process
  RankFacts rank;                                        ///< the same for all ranks of this process but for the number
  std::string run_folder = "runs";                       ///< whose disk is looked at
  std::optional<Hardware> hardware;                      ///< what collectives are compared with
  std::string device = "auto";                           ///< that ranks train on: "auto", "cpu" or "cuda"
  std::chrono::milliseconds transfer_deadline{150'000};  ///< of an operation between GPUs: half the world's
};

/// Collective; complete on rank 0.
DoctorFacts examine(Communicator& world, const ExaminationPlan& plan);

}  // namespace dml
