// Memory of a device that is allocated once, before the run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace dml {

class Device;

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
