// Memory that an operation keeps from use to use.
#pragma once

#include <cstddef>
#include <memory>

namespace dml {

class Scratch {
 public:
  /// At least so many bytes; what they held is lost when they grow.
  std::byte* need(std::size_t bytes) {
    if (bytes > size_) {
      data_.reset();
      data_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
      size_ = bytes;
    }
    return data_.get();
  }

 private:
  std::unique_ptr<std::byte[]> data_;
  std::size_t size_ = 0;
};

}  // namespace dml
