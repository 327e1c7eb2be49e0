// The annotations of multi_device.h in the messages of a file.
#pragma once

#include "models/onnx/multi_device.h"
#include "models/onnx/proto.h"

namespace dml {

/// Throws ModelError where annotations are damaged, or speak of configurations or tensors that are not there.
DevicePlan read_device_plan(const onnx::ModelProto& proto);

/// Puts the plan in place of what the model says of devices, and raises its IR version to 11 at least. `plan.nodes` are
/// those of the model in their order.
void write_device_plan(onnx::ModelProto& proto, const DevicePlan& plan);

}  // namespace dml
