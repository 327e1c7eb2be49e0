// Which variables of a library of kernels are the shared memory of one kernel: its symbol table tells them apart.
#pragma once

#include <cstddef>
#include <vector>

namespace dml::emulator {

struct SharedVariable {
  std::size_t offset = 0;  ///< in the library's thread-local variables
  std::size_t bytes = 0;
};

/// Those declared within this kernel, and within functions that are no kernels themselves, which it may call. Empty
/// where the library has no symbol table.
std::vector<SharedVariable> shared_variables_of(const void* kernel);

}  // namespace dml::emulator
