#include "parallel/pipeline/pipeline_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace dml {
namespace {

template <typename Function>
void for_each_field(Function function) {
  for (double StageCost::*field : {&StageCost::forward, &StageCost::input_grad, &StageCost::weight_grad,
                                   &StageCost::overlapped, &StageCost::activations, &StageCost::weight_inputs})
    function(field);
}

StageCost sum(std::span<const StageCost> stages) {
  StageCost total{0, 0, 0, 0, 0, 0};
  for (const StageCost& stage : stages) for_each_field([&](auto field) { total.*field += stage.*field; });
  return total;
}

StageCost part(StageCost stage, std::size_t parts) {
  for_each_field([&](auto field) { stage.*field /= static_cast<double>(parts); });
  return stage;
}

}  // namespace

std::vector<StageCost> with_stages(std::span<const StageCost> model, int num_stages) {
  const auto wanted = static_cast<std::size_t>(num_stages);
  std::vector<StageCost> stages;
  if (model.size() % wanted == 0) {
    const std::size_t merged = model.size() / wanted;
    for (std::size_t i = 0; i < wanted; ++i) stages.push_back(sum(model.subspan(i * merged, merged)));
  } else if (wanted % model.size() == 0) {
    const std::size_t parts = wanted / model.size();
    for (std::size_t i = 0; i < wanted; ++i) stages.push_back(part(model[i / parts], parts));
  } else {
    throw std::invalid_argument(
        fmt::format("[schedule] {0} stages can't be made of {1}: give times for a divisor or a multiple of {0}",
                    num_stages, model.size()));
  }
  return stages;
}

Pipeline pipeline_of(const ScheduleDef& schedule, const PipelineSettings& settings) {
  const int given = static_cast<int>(settings.model.size()) / settings.positions;
  const int wanted = settings.chunks > 0 ? settings.chunks : (given > 1 ? given : schedule.chunks);
  const int chunks = schedule.any_chunks ? wanted : schedule.chunks;
  Pipeline pipeline{.placement = Placement(settings.positions, chunks, schedule.placement),
                    .microbatches = settings.microbatches,
                    .group = settings.group,
                    .latency = settings.latency,
                    .memory_limit = settings.memory_limit};
  const std::vector<StageCost> copy = with_stages(settings.model, pipeline.placement.num_stages() / schedule.copies);
  for (int i = 0; i < schedule.copies; ++i) pipeline.costs.insert(pipeline.costs.end(), copy.begin(), copy.end());
  return pipeline;
}

}  // namespace dml
