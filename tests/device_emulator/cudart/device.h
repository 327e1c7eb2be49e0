// What is the same for all emulated devices.
#pragma once

#include <cstddef>

namespace dml::emulator {

/// Most bytes of shared memory that a block can ask for.
std::size_t shared_bytes_optin();
/// As cudaDriverGetVersion has it: 13000 for 13.0.
int driver_version();

}  // namespace dml::emulator
