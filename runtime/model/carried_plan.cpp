#include "runtime/model/carried_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "kernels/error.h"
#include "models/onnx/model_file.h"
#include "models/zoo/zoo.h"
#include "parallel/pipeline/schedule.h"
#include "runtime/model/layout_plan.h"
#include "runtime/model/partition_options.h"

namespace dml {
namespace {

bool is_set_aside(const LayoutConfig& layout) {
  return !layout.cut.empty() || layout.tensor_mode != TensorMode::automatic;
}

std::vector<CarriedPlan> plans_of(const OnnxModel& file) {
  try {
    const DevicePlan annotations = file.device_plan();
    std::vector<CarriedPlan> plans;
    for (const DeviceConfiguration& configuration : annotations.configurations) {
      plans.push_back(carried_plan(annotations, configuration));
    }
    return plans;
  } catch (const ModelError& error) {
    throw ModelError(fmt::format("'{}': {}", file.name(), error.what()));
  }
}

/// Stages at each pipeline position.
int chunks_of(const LayoutConfig& layout) {
  if (layout.chunks > 0) return layout.chunks;
  return layout.schedule.starts_with(kScheduleFile) ? 1 : find_schedule(layout.schedule).chunks;
}

std::shared_ptr<const OnnxModel> open_file(const ModelConfig& model) {
  if (model.source.empty() || !model.shards.empty() || is_builtin(model.source)) return nullptr;
  try {
    return OnnxModel::load(model.source);
  } catch (const Error&) {
    return nullptr;  // who trains or draws it says what is wrong
  }
}

}  // namespace

void adopt_carried_layout(Config& config) {
  LayoutConfig& layout = config.layout;
  if (is_set_aside(layout) || !layout.plan.empty()) return;
  const auto file = open_file(config.model);
  const std::vector<CarriedPlan> plans = file != nullptr ? plans_of(*file) : std::vector<CarriedPlan>{};
  if (plans.empty()) return;
  const int chunks = chunks_of(layout);
  std::string found;
  for (const CarriedPlan& plan : plans) {
    const bool has_p = layout.p == 1 ? plan.num_stages % chunks == 0 : layout.p * chunks == plan.num_stages;
    if (has_p && (layout.t == 1 || layout.t == plan.t)) {
      layout.p = plan.num_stages / chunks;
      layout.t = plan.t;
      return;
    }
    found += fmt::format("{}{} of {} stages and t={}", found.empty() ? "" : ", ", plan.configuration, plan.num_stages,
                         plan.t);
  }
  throw ModelError(
      fmt::format("'{}' carries a plan ({}), not one of --p {} --t {} with {} stage{} per position: leave out --p and "
                  "--t, or set it "
                  "aside by --tensor-mode or --cut",
                  file->name(), found, layout.p, layout.t, chunks, chunks == 1 ? "" : "s"));
}

std::shared_ptr<const CarriedPlan> find_carried_plan(const OnnxModel& file, const LayoutConfig& layout,
                                                     int num_stages) {
  if (is_set_aside(layout)) return nullptr;
  for (CarriedPlan& plan : plans_of(file)) {
    if (plan.num_stages == num_stages && plan.t == layout.t)
      return std::make_shared<const CarriedPlan>(std::move(plan));
  }
  return nullptr;
}

void write_planned_model(LayoutPlan& plan, const std::string& path, bool weights) {
  ModelLayout& layout = plan.layout();
  const Graph& graph = layout.graph(*layout.microbatch_sizes().rbegin());
  const std::vector<int> stages = stages_of_nodes(graph, plan.mesh(), plan.options());
  const SplitPlan split = split_plan_of(graph, plan.mesh().t(), layout.divided().mode, plan.options());
  const Placement placement = placement_of(plan.mesh(), plan.options());
  const ModelSource* model = plan.model();
  const auto opaque = model == nullptr ? OnnxModel::load(plan.name()) : nullptr;
  const OnnxModel& file = model == nullptr ? *opaque : model->file();
  const BuildOptions options = model == nullptr ? BuildOptions{} : model->build_options();
  const DevicePlan annotations = annotated(file.device_plan(options), {graph, stages, split, placement});
  file.save_plan(path, annotations, options, weights && model != nullptr);
}

}  // namespace dml
