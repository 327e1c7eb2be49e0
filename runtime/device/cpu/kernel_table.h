// Which CPU kernel executes which operation of a Graph: an explicit ordered list, and the binding of one node.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "kernels/step_state.h"
#include "kernels/tensor.h"
#include "models/graph.h"

namespace dml {

/// What kernels read while they run and that no graph says.
struct KernelContext {
  const StepState* state = nullptr;
  std::int64_t first_sample = 0;  ///< index in the global batch of the microbatch's first sample
};

/// One execution of one node on buffers that were fixed when it was bound. Calling it allocates nothing.
using Kernel = std::function<void()>;

/// The kernel of `node` on these buffers. Absent optional inputs are views with null data; `context` must outlive the
/// kernel. Throws ModelError that names the operation where there is no CPU kernel for it or for its data types, and
/// std::invalid_argument where shapes or attributes do not fit.
Kernel bind_kernel(const Graph& graph, const Node& node, std::span<const TensorView> inputs,
                   std::span<const TensorView> outputs, const KernelContext& context);

/// The names of all operations that have a CPU kernel, in the order of the table.
std::span<const std::string_view> cpu_operations();

}  // namespace dml
