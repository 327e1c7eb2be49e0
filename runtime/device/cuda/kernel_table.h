// Which CUDA kernel executes a node of a Graph.
#pragma once

#include <span>

#include "kernels/cuda/queue.h"
#include "runtime/device/cpu/kernel_table.h"

namespace dml::cuda {

/// The kernel of `node` on these buffers of device memory: calling it puts launches on the queue, and allocates and
/// waits for nothing. Absent optional inputs are views with null data; `context`, whose state is device memory, and
/// `queue` must outlive the kernel. Throws ModelError that names the operation where there is no CUDA kernel for it or
/// for its data types, and std::invalid_argument where shapes or attributes do not fit.
Kernel bind_kernel(const Graph& graph, const Node& node, std::span<const TensorView> inputs,
                   std::span<const TensorView> outputs, const KernelContext& context, const Queue& queue);

}  // namespace dml::cuda
