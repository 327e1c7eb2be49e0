// How a graph node becomes a kernel of a device: what its binder is told. A binder reads attributes and shapes once and
// returns a closure that allocates nothing when called.
#pragma once

#include <span>

#include "kernels/tensor.h"
#include "models/graph.h"
#include "runtime/device/kernel.h"

namespace dml {

/// What a binder sees. The views may be kept by value; graph and node only live while binding; the context outlives
/// the kernel.
struct BindArgs {
  const Graph& graph;
  const Node& node;
  std::span<const TensorView> in;  ///< as long as node.inputs; absent optional inputs have null data
  std::span<const TensorView> out;
  const KernelContext& context;
};

/// The operations that every device has kernels for, in the order of kernel_rows.def.
std::span<const std::string_view> operations_with_kernels();
/// The place among them of the node's operation. Throws ModelError that names both where there is none.
std::size_t kernel_row(const Node& node);

}  // namespace dml
