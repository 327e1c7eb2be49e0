// Shared memory of the block that runs: the variables that kernels declare __shared__ are thread-local variables of
// their library, one copy for each thread of the operating system. Both kinds start as NaN in every block.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/device_emulator/engine/shared/shared_variables.h"
#include "tests/device_emulator/engine/thread.h"

namespace dml::emulator {

class SharedMemory {
 public:
  /// Finds the kernel's variables and makes room for dynamic shared memory, with a guard zone behind it.
  void prepare(const Kernel& kernel, std::size_t dynamic_bytes);
  /// Fills it with NaN, before each block.
  void poison();
  /// What is wrong with it after a block, or an empty string.
  std::string fault() const;
  void* dynamic() const { return dynamic_.get(); }

  /// Of all shared memory of the block, its variables behind what is dynamic.
  std::size_t bytes() const;
  /// Place of an address in it; nothing where the address is none of it.
  std::optional<std::size_t> offset_of(const void* address) const;

 private:
  struct Free {
    void operator()(void* memory) const;
  };

  char* static_ = nullptr;  // the library's thread-local variables on this thread
  std::vector<SharedVariable> variables_;
  const void* of_kernel_ = nullptr;
  std::unique_ptr<void, Free> dynamic_;
  std::size_t dynamic_bytes_ = 0;
};

}  // namespace dml::emulator
