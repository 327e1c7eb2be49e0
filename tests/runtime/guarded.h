// Tensors in a device's memory between guard bytes, for tests of kernels.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include <fmt/format.h>

#include "kernels/bf16.h"
#include "models/op.h"
#include "runtime/device/device.h"

namespace dml::test {

/// A device's memory of some bytes.
class DeviceMemory {
 public:
  DeviceMemory(Device& device, std::size_t bytes)
      : device_(device), data_(device.allocate(static_cast<std::int64_t>(bytes))) {}
  ~DeviceMemory() { device_.release(data_); }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  std::byte* data() const { return data_; }

 private:
  Device& device_;
  std::byte* data_;
};

/// Where a tensor has guard bytes.
enum class Guards {
  around,
  before,  ///< it ends where its memory does: a device that knows its allocations then sees a read behind the end
};

/// A tensor in a device's memory between guard bytes; its elements are written and read as doubles. `bytes` is the
/// host's image of it, guards included.
class Guarded {
 public:
  Guarded(Device& device, const TypedShape& type, Guards guards = Guards::around)
      : device_(&device),
        type_(type),
        used_(size_of(type.dtype) * static_cast<std::size_t>(type.shape.num_elements())),
        behind_(guards == Guards::around ? kGuard : 0),
        bytes_(kGuard + used_ + static_cast<std::size_t>(behind_), kPattern),
        memory_(std::make_unique<DeviceMemory>(device, bytes_.size())) {
    upload();
  }

  TensorView view() const { return {memory_->data() + kGuard, type_.dtype, type_.shape}; }
  const std::vector<unsigned char>& bytes() const { return bytes_; }

  bool guards_are_intact() const {
    const auto is_pattern = [](unsigned char byte) { return byte == kPattern; };
    return std::all_of(bytes_.begin(), bytes_.begin() + kGuard, is_pattern) &&
           std::all_of(bytes_.end() - behind_, bytes_.end(), is_pattern);
  }

  void write(const std::vector<double>& elements) {
    visit([&](auto* data) {
      using Element = std::remove_pointer_t<decltype(data)>;
      std::transform(elements.begin(), elements.end(), data, [](double x) {
        if constexpr (std::is_same_v<Element, bf16>) {
          return to_bf16(static_cast<float>(x));
        } else {
          return static_cast<Element>(x);
        }
      });
    });
    upload();
  }
  /// Elements as the image has them.
  std::vector<double> elements() {
    std::vector<double> elements(static_cast<std::size_t>(type_.shape.num_elements()));
    visit([&](auto* data) {
      std::transform(data, data + elements.size(), elements.begin(), [](auto x) {
        if constexpr (std::is_same_v<decltype(x), bf16>) {
          return static_cast<double>(to_float(x));
        } else {
          return static_cast<double>(x);
        }
      });
    });
    return elements;
  }
  /// Makes the image what the device's memory is.
  void fetch() { device_->download(bytes_.data(), memory_->data(), bytes_.size()); }

 private:
  static constexpr std::ptrdiff_t kGuard = 64;
  static constexpr unsigned char kPattern = 0xff;  // of floats: NaN, so that a gap in the result shows

  void upload() { device_->upload(memory_->data(), bytes_.data(), bytes_.size()); }

  template <typename Body>
  void visit(const Body& body) {
    unsigned char* const data = bytes_.data() + kGuard;
    switch (type_.dtype) {
      case DataType::f32: return body(reinterpret_cast<float*>(data));
      case DataType::bf16: return body(reinterpret_cast<bf16*>(data));
      case DataType::i64: return body(reinterpret_cast<std::int64_t*>(data));
      case DataType::i32: return body(reinterpret_cast<std::int32_t*>(data));
      case DataType::boolean: return body(data);
      default: throw std::invalid_argument(fmt::format("no test operand of type {}", name_of(type_.dtype)));
    }
  }

  Device* device_;
  TypedShape type_;
  std::size_t used_;
  std::ptrdiff_t behind_;
  std::vector<unsigned char> bytes_;
  std::unique_ptr<DeviceMemory> memory_;
};

}  // namespace dml::test
