// Which kernel of the emulated library stands for one that nvcc's host code launches: found by its mangled name.
#pragma once

#include <cstddef>
#include <string>

#include "tests/device_emulator/engine/thread.h"

namespace dml::emulator {

/// nvcc's host code says that this address stands for the kernel of that mangled name.
void name_kernel(const void* host_function, const char* name);

struct FoundKernel {
  const Kernel* kernel = nullptr;  ///< null: no library of EMULATOR_KERNELS has it
  std::string name;                ///< for people
};
const FoundKernel& find_kernel(const void* host_function);

/// Whether a mangled name is that of something declared in a kernel.
bool is_in_kernel(const std::string& name);

/// Most bytes of dynamic shared memory that a launch may ask for.
std::size_t shared_limit(const void* host_function);
void set_shared_limit(const void* host_function, std::size_t bytes);

}  // namespace dml::emulator
