// Where the work of a rank on its GPU goes: a stream, and what the kernels on it share. Work on a queue runs in order,
// so its kernels can use the same workspace one after the other.
#pragma once

#include <cstddef>

#include "kernels/cuda/fault.h"

struct CUstream_st;

namespace dml::cuda {

using Stream = CUstream_st*;
class Handles;

/// Owned by the device, which outlives all kernels that were bound to it. Pointers are to device memory.
struct Queue {
  Stream stream = nullptr;
  Fault* fault = nullptr;
  void* workspace = nullptr;
  std::size_t workspace_bytes = 0;
  Handles* handles = nullptr;  ///< of vendor libraries (kernels/cuda/handles.h)
  bool tf32 = false;           ///< products may round their operands to TF32
};

}  // namespace dml::cuda
