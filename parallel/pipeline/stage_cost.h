// What the passes of a model's stages cost, by counting its operations: what searched schedules plan by.
#pragma once

#include <span>
#include <vector>

#include "models/graph.h"
#include "parallel/pipeline/schedule.h"

namespace dml {

/// By stage; times in FLOP, memory in bytes, of one microbatch of `graph`, whose nodes lie on `stages`.
std::vector<StageCost> stage_costs(const Graph& graph, std::span<const int> stages, int num_stages);

}  // namespace dml
