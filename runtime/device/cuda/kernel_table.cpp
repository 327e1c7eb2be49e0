#include "runtime/device/cuda/kernel_table.h"

#include "kernels/error.h"
#include "runtime/device/cuda/bind.h"

namespace dml::cuda {
namespace {

constexpr Kernel (*kBinders[])(const BindArgs& args) = {
#define DML_ROW(operation, binder) binder,
#include "runtime/device/kernel_rows.def"
#undef DML_ROW
};

}  // namespace

Kernel bind_kernel(const Graph& graph, const Node& node, std::span<const TensorView> inputs,
                   std::span<const TensorView> outputs, const KernelContext& context, const Queue& queue) {
  DML_ASSERT(inputs.size() == node.inputs.size() && outputs.size() == node.outputs.size(), node.name);
  return kBinders[kernel_row(node)]({{graph, node, inputs, outputs, context}, queue});
}

}  // namespace dml::cuda
