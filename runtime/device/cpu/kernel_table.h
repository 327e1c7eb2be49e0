// Which CPU kernel executes a node of a Graph.
#pragma once

#include <span>

#include "kernels/tensor.h"
#include "models/graph.h"
#include "runtime/device/kernel.h"

namespace dml {

/// The kernel of `node` on these buffers. Absent optional inputs are views with null data; `context` must outlive the
/// kernel. Throws ModelError that names the operation where there is no CPU kernel for it or for its data types, and
/// std::invalid_argument where shapes or attributes do not fit.
Kernel bind_kernel(const Graph& graph, const Node& node, std::span<const TensorView> inputs,
                   std::span<const TensorView> outputs, const KernelContext& context);

}  // namespace dml
