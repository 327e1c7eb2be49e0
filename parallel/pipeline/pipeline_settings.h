// What a person says of a pipeline, whatever the schedule: schedules that want another number of stages merge or cut
// the model's.
#pragma once

#include <span>
#include <vector>

#include "parallel/pipeline/schedule.h"

namespace dml {

struct PipelineSettings {
  int positions = 1;
  int microbatches = 1;
  int chunks = 0;  ///< of the schedules that take any; 0: what the model has, or the schedule's own
  int group = 0;
  std::vector<StageCost> model;  ///< by stage of the model
  double latency = 0;
  double memory_limit = 0;
};

/// The model's stages as `num_stages`: neighbours merged, or each cut evenly. Throws std::invalid_argument where
/// neither number divides the other.
std::vector<StageCost> with_stages(std::span<const StageCost> model, int num_stages);

/// The pipeline that `schedule` wants; both copies of the model cost the same.
Pipeline pipeline_of(const ScheduleDef& schedule, const PipelineSettings& settings);

}  // namespace dml
