#include "benchmarks/published/predictor.h"

#include <fmt/format.h>

#include "models/autodiff.h"
#include "models/loss.h"
#include "models/rewrite/fuse.h"
#include "models/rewrite/passes.h"
#include "models/scope.h"
#include "models/trainable.h"
#include "models/zoo/zoo.h"

namespace dml::published {
namespace {

void fuse_all_but_attention(Graph& graph) {
  for (const auto pass : {fold_constants, fuse_gelu, fold_transposes}) {
    remove_unused(graph);
    pass(graph);
  }
  remove_unused(graph);
}

Graph training_graph(const OnnxModel& model, std::int64_t samples, bool fused_attention) {
  Graph graph = model.build({.batch = samples, .dims = {}, .ties = {}, .unties = {}});
  choose_trainable(graph, {}, {});
  fused_attention ? fuse(graph) : fuse_all_but_attention(graph);
  const Shape output = graph.shape(graph.output);
  append_loss(graph, "cross_entropy", DataType::i64, Shape(std::span(output.begin(), output.end() - 1)));
  append_backward(graph);
  return graph;
}

/// The last node of each layer after which a stage ends.
std::vector<std::string> ends_of_equal_stages(const Graph& graph, std::int64_t layers, int num_stages) {
  std::vector<std::string> ends;
  for (int stage = 1; stage < num_stages; ++stage) {
    const std::string layer = fmt::format("blocks.{}", stage * layers / num_stages - 1);
    std::string last;
    for (const Node& node : graph.nodes())
      if (node.phase == Phase::forward && layer_of(node.scope, 0) == layer) last = node.name;
    ends.push_back(last);
  }
  return ends;
}

}  // namespace

CutModel& Predictor::model_of(const Run& run) {
  const Techniques& techniques = run.layout.techniques;
  const std::string key = fmt::format("{} {} {}", run.model, name_of(techniques.recompute), run.fused_attention);
  const auto found = models_.find(key);
  if (found != models_.end()) return *found->second;
  auto model = load_builtin(run.model, 0);
  auto cut = std::make_unique<CutModel>(
      [model, techniques, fused = run.fused_attention](std::int64_t samples) {
        return with_techniques(training_graph(*model, samples, fused), techniques);
      },
      1, [layers = run.layers](const Graph& graph, int stages) { return ends_of_equal_stages(graph, layers, stages); });
  return *models_.emplace(key, std::move(cut)).first->second;
}

StepEstimate Predictor::estimate(const Run& run) {
  const auto machine = machines_.find(run.hardware);
  const Hardware hardware = machine == machines_.end() ? hardware_preset(run.hardware) : machine->second;
  EstimateOptions options;
  options.batch = run.batch;
  options.clips = true;
  options.bucket_bytes = run.bucket_bytes;
  ScheduleCache schedules;
  return Estimator(model_of(run), schedules, hardware, options).estimate(run.layout);
}

}  // namespace dml::published
