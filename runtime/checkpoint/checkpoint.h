// A training between two steps, as a safetensors file of whole tensors: every layout reads what any other wrote, and
// the layout that wrote it goes on with the same bits. FOLDER/step_00000100.safetensors holds "weight.NAME",
// "moment1.NAME" and "moment2.NAME" as the optimizer has them, "state.NAME" for running statistics, and the metadata
// that says where the training stands. The order of the data and all masks follow from the step.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/data/safetensors.h"
#include "runtime/program/rank_state.h"

namespace dml {

/// What must not change where a training goes on, beside the names and shapes of the model's tensors.
struct TrainingIdentity {
  std::string optimizer;
  std::string data;
  std::int64_t batch = 0;
  std::uint64_t seed = 0;
};

struct FoundCheckpoint {
  SafetensorsFile file;
  std::int64_t steps = 0;          ///< that were done
  std::vector<std::string> notes;  ///< of newer files that cannot be read
};

/// `where` is a file, a folder of checkpoints, or a run's folder that has one. Of a folder the newest file that can be
/// read. Nothing where there is no checkpoint; throws IoError where there are only unreadable ones.
std::optional<FoundCheckpoint> find_checkpoint(const std::string& where);

/// Collective. Rank 0 writes the file whole or not at all, keeps the one before, removes older ones, and returns the
/// path; `folder` counts there alone. Throws IoError on rank 0.
std::string write_checkpoint(const std::string& folder, RankState& state, const TrainingIdentity& identity,
                             std::int64_t steps);

/// This rank's part of everything. Throws ModelError that names the first difference where the checkpoint is another
/// training's.
void read_checkpoint(const FoundCheckpoint& checkpoint, const TrainingIdentity& identity, RankState& state);

}  // namespace dml
