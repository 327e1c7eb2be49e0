// Working memory of a thread inside a kernel: grows to the largest request, then stays, so that a step in steady state
// allocates nothing.
#pragma once

#include <cstdint>

namespace dml::cpu {

/// At least `floats` floats on a 64-byte boundary, valid until this thread's next call.
float* thread_scratch(std::int64_t floats);
/// Bytes that all threads together hold now.
std::int64_t scratch_bytes();

}  // namespace dml::cpu
