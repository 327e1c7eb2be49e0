// Memory planned from lifetimes before the run: every buffer gets its offset in one arena, allocated once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace dml {

class Device;

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

/// Best fit in order of birth: a buffer takes the smallest hole that holds it. O(n log n) for n buffers.
MemoryPlan plan_memory(std::span<const Lifetime> lifetimes);

/// Memory of a device, which outlives it, allocated once. It is filled with a pattern, to see later how much of it was
/// touched.
class Arena {
 public:
  Arena() = default;
  /// Throws DeviceError with the size where that much is not to be had.
  Arena(Device& device, std::int64_t bytes);

  std::byte* data() const { return memory_.get(); }
  std::int64_t size() const { return size_; }
  /// Highest byte that no longer holds the pattern; O(size).
  std::int64_t touched_bytes() const;

 private:
  struct Release {
    Device* device;
    void operator()(std::byte* memory) const;
  };
  std::unique_ptr<std::byte, Release> memory_;
  std::int64_t size_ = 0;
};

}  // namespace dml
