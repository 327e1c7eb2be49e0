// Memory planned from lifetimes before the run: every buffer gets its offset in one arena.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dml {

/// A buffer and the positions in the program between which it must keep its content, both included.
struct Lifetime {
  std::int64_t bytes = 0;
  std::int32_t first = 0;
  std::int32_t last = 0;
};

struct MemoryPlan {
  std::vector<std::int64_t> offsets;  ///< by lifetime
  std::int64_t peak_bytes = 0;
};

inline constexpr std::int64_t kBufferAlignment = 64;
/// The least multiple of kBufferAlignment that holds as much.
inline std::int64_t aligned_bytes(std::int64_t bytes) {
  return (bytes + kBufferAlignment - 1) / kBufferAlignment * kBufferAlignment;
}

/// Best fit in order of birth: a buffer takes the smallest hole that holds it. O(n log n) for n buffers.
MemoryPlan plan_memory(std::span<const Lifetime> lifetimes);

}  // namespace dml
