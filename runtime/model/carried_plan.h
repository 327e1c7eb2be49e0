// Plans that a model's file carries in ONNX's multi-device annotations: training follows them, and `graph` writes them.
// Options that divide a model otherwise (--cut, --tensor-mode) set the file's plan aside.
#pragma once

#include <memory>
#include <string>

#include "parallel/plan_annotations.h"
#include "runtime/config.h"

namespace dml {

class LayoutPlan;
class OnnxModel;

/// p and t as the plan of config.model has them, where it carries one and they are left out (1). Throws ModelError
/// where the plan is damaged, contradicts itself, or is of another p or t than was asked for.
void adopt_carried_layout(Config& config);

/// The file's plan for p, t and the stages that a schedule has; null where it carries none, or options set it aside.
std::shared_ptr<const CarriedPlan> find_carried_plan(const OnnxModel& file, const LayoutConfig& layout, int num_stages);

/// Writes the model with the layout in it. Without weights its initializers stay as they are in its file; those of a
/// model that is not read as a whole do so always. Throws ModelError, IoError.
void write_planned_model(LayoutPlan& plan, const std::string& path, bool weights);

}  // namespace dml
