#include "runtime/device/cpu/kernel_table.h"

#include "kernels/error.h"
#include "runtime/device/cpu/bind.h"

namespace dml {
namespace {

constexpr Kernel (*kBinders[])(const BindArgs& args) = {
#define DML_ROW(operation, binder) binder,
#include "runtime/device/kernel_rows.def"
#undef DML_ROW
};

}  // namespace

Kernel bind_kernel(const Graph& graph, const Node& node, std::span<const TensorView> inputs,
                   std::span<const TensorView> outputs, const KernelContext& context) {
  DML_ASSERT(inputs.size() == node.inputs.size() && outputs.size() == node.outputs.size(), node.name);
  return kBinders[kernel_row(node)]({graph, node, inputs, outputs, context});
}

}  // namespace dml
