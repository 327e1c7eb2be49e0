// Training runs that others measured and published: tests/data/hardware holds the rows and names the sources.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "parallel/plan/layout_choice.h"

namespace dml::published {

struct Run {
  std::string id;
  std::string model;  ///< of the zoo
  std::int64_t layers = 0;
  bool fused_attention = false;  ///< one kernel that keeps no scores; else single operations
  std::string hardware;          ///< a preset
  LayoutChoice layout;
  std::int64_t batch = 0;         ///< sequences
  std::int64_t bucket_bytes = 0;  ///< of gradient sums; the largest: one sum behind the last backward pass
  double seconds = 0;             ///< measured, of an iteration
  double flops_per_second = 0;    ///< of a device, as the source counts them; 0: not stated
  std::string chosen;             ///< what the source does not say, and was taken
};

/// The throughput rows of hardware_runs.json, with one choice for all that a source leaves open: microbatches of one
/// sequence, two chunks in a pipeline, sequence parallelism and sharded optimizer states for runs of 2024, no
/// recomputation.
std::vector<Run> read_runs(const std::string& path);
/// vtrain_a100_calibration.csv.
std::vector<Run> read_vtrain(const std::string& path);

}  // namespace dml::published
