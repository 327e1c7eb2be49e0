// How a graph node becomes a CUDA kernel: the arguments of every binder, and the binders themselves, by family.
// A binder reads attributes and shapes once and returns a closure that launches, and allocates nothing when called.
#pragma once

#include "kernels/cuda/queue.h"
#include "runtime/device/cpu/bind.h"

namespace dml::cuda {

/// What a binder sees. Views and context.state are device memory, never read here; the queue outlives the kernel.
struct BindArgs : dml::BindArgs {
  const Queue& queue;
};

}  // namespace dml::cuda
