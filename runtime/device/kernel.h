// One execution of one node, as every device binds it.
#pragma once

#include <cstdint>
#include <functional>

#include "kernels/step_state.h"

namespace dml {

/// What kernels read while they run and that no graph says.
struct KernelContext {
  const StepState* state = nullptr;  ///< in the device's memory
  std::int64_t first_sample = 0;     ///< index in the global batch of the microbatch's first sample
};

/// One execution of one node on buffers that were fixed when it was bound. Calling it allocates nothing.
using Kernel = std::function<void()>;

}  // namespace dml
