// The binders of CUDA kernels, by family in bind_*.cpp. Their closures launch.
#pragma once

#include "kernels/cuda/queue.h"
#include "runtime/device/bind_args.h"

namespace dml::cuda {

/// What a binder sees. Views and context.state are device memory, never read here; the queue outlives the kernel.
struct BindArgs : dml::BindArgs {
  const Queue& queue;
};

#define DML_ROW(operation, binder) Kernel binder(const BindArgs& args);
#include "runtime/device/kernel_rows.def"
#undef DML_ROW

}  // namespace dml::cuda
