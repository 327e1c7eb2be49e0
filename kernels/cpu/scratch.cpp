#include "kernels/cpu/scratch.h"

#include <atomic>
#include <memory>
#include <new>

namespace dml::cpu {
namespace {

constexpr std::align_val_t kAlignment{64};

std::atomic<std::int64_t>& total_bytes() {
  static std::atomic<std::int64_t> bytes = 0;
  return bytes;
}

class Scratch {
 public:
  Scratch() = default;
  ~Scratch() { release(); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  float* at_least(std::int64_t floats) {
    if (floats > floats_) {
      release();
      data_ = static_cast<float*>(::operator new(static_cast<std::size_t>(floats) * sizeof(float), kAlignment));
      floats_ = floats;
      total_bytes() += floats_ * static_cast<std::int64_t>(sizeof(float));
    }
    return data_;
  }

 private:
  void release() {
    ::operator delete(data_, kAlignment);
    total_bytes() -= floats_ * static_cast<std::int64_t>(sizeof(float));
    data_ = nullptr;
    floats_ = 0;
  }

  float* data_ = nullptr;
  std::int64_t floats_ = 0;
};

}  // namespace

float* thread_scratch(std::int64_t floats) {
  thread_local Scratch scratch;
  return scratch.at_least(floats);
}

std::int64_t scratch_bytes() { return total_bytes(); }

}  // namespace dml::cpu
