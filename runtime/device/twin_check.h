// One device against another: the operations of a training, each on the same operands.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "models/graph.h"
#include "runtime/device/device.h"

namespace dml {

/// How far the results of one operation are apart.
struct OperationDifference {
  std::string operation;  ///< "MatMul"
  int nodes = 0;          ///< that were executed
  /// Largest |a - b| of a tensor / its largest |b|, or a tenth of the largest operand where that is more. Infinity
  /// where integers or NaNs differ.
  double worst = 0;
  std::string where;  ///< the node of the worst
};

/// Executes the nodes of a training graph one after the other on `reference`, whose memory is the host's, and each of
/// them on `device` with the operands that `reference` had. Inputs are drawn, small whole numbers where they are
/// integers. In the order in which operations first appear. Throws DeviceError where a device fails.
std::vector<OperationDifference> compare_operations(Device& device, Device& reference, const Graph& graph);

/// The same of several graphs, put together by operation.
std::vector<OperationDifference> compare_operations(Device& device, Device& reference, std::span<const Graph> graphs);

}  // namespace dml
