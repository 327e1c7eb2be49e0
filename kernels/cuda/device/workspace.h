// Parts of the workspace that the kernels of a queue share.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/cuda/queue.h"
#include "kernels/error.h"

namespace dml::cuda {

/// `count` elements at its beginning. Throws DeviceError with both sizes where it is smaller.
template <typename T>
T* workspace(const Queue& queue, std::int64_t count) {
  const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
  if (bytes > queue.workspace_bytes) {
    throw DeviceError("a kernel needs " + std::to_string(bytes) + " bytes of workspace; there are " +
                      std::to_string(queue.workspace_bytes));
  }
  return static_cast<T*>(queue.workspace);
}

}  // namespace dml::cuda
