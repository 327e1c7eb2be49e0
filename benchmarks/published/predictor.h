// The time that dmltrain's planner predicts for a published run.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "benchmarks/published/published_run.h"
#include "parallel/plan/estimate.h"

namespace dml::published {

/// Stages have as many layers each, the embedding goes to the first and the head to the last, as Megatron-LM cuts.
class Predictor {
 public:
  /// `machines`: by the name of the preset that they replace.
  explicit Predictor(std::map<std::string, Hardware> machines) : machines_(std::move(machines)) {}
  /// Throws ImpossibleLayout, and std::invalid_argument where neither a machine nor a preset has the run's name.
  StepEstimate estimate(const Run& run);

 private:
  CutModel& model_of(const Run& run);

  std::map<std::string, Hardware> machines_;
  std::map<std::string, std::unique_ptr<CutModel>> models_;
};

}  // namespace dml::published
