// Runs a grid: its blocks one after the other, the threads of a block taking turns on fibers of one thread of the
// operating system. A thread that never waits costs no switch; one that waits hands over to the next that can run.
#pragma once

#include <cstddef>

#include "tests/device_emulator/engine/thread.h"

namespace dml::emulator {

struct Launch {
  const Kernel* kernel = nullptr;
  const char* name = "";
  dim3 grid{};
  dim3 block{};
  std::size_t dynamic_shared_bytes = 0;
  unsigned long long number = 0;  ///< of the operation: seeds the order of threads and blocks
};

/// Runs all blocks now, on the calling thread. Divergent barriers, deadlocks in a block and writes behind dynamic
/// shared memory are violations.
void run_grid(const Launch& launch, const void* arguments);

/// "kernel NAME, block (x, y, z), thread (x, y, z)" of the calling thread, or an empty string.
const char* running_place(char* text, std::size_t bytes);

}  // namespace dml::emulator
