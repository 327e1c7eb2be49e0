// The device language of CUDA C++ for the host's compiler. Stands before the toolkit's header of the same name where
// kernels are compiled for the emulated device. What is missing here does not compile: no inline PTX, textures, wmma.
#pragma once

// The toolkit's headers leave these alone where they are defined. A block runs on one thread of the operating system.
#define __shared__ static thread_local
#define __launch_bounds__(...)
#define __grid_constant__

#include <cuda_runtime_api.h>
#include <vector_functions.h>

#include <cstddef>

#include "tests/device_emulator/engine/thread.h"
#include "tests/device_emulator/language/atomics.h"
#include "tests/device_emulator/language/intrinsics.h"
#include "tests/device_emulator/language/known_kernel.h"
#include "tests/device_emulator/language/synchronisation.h"

#define threadIdx (::dml::emulator::running_thread->index)
#define blockIdx (::dml::emulator::running_block.index)
#define blockDim (::dml::emulator::running_block.size)
#define gridDim (::dml::emulator::running_block.grid)
inline constexpr int warpSize = 32;

#define DML_SHARED(T, name) T* const name = static_cast<T*>(::dml::emulator::running_block.dynamic_shared)
#define DML_KERNEL_IS_LAUNCHED(kernel) ::dml::emulator::KnownKernel<kernel>::use()
