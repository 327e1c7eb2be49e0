// Arrays of the emulated device in tests: float or bf16 there, float here.
#pragma once

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "kernels/bf16.h"

namespace dml::emulator {

template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(const std::vector<float>& values) : elems_(values.size()) {
    EXPECT_EQ(cudaMalloc(&data_, bytes()), cudaSuccess);
    std::vector<T> stored(elems_);
    for (std::size_t i = 0; i < elems_; ++i) stored[i] = from_float<T>(values[i]);
    EXPECT_EQ(cudaMemcpy(data_, stored.data(), bytes(), cudaMemcpyHostToDevice), cudaSuccess);
  }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return static_cast<T*>(data_); }
  std::size_t bytes() const { return elems_ * sizeof(T); }

  /// After all work of the device.
  std::vector<float> read() const {
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    std::vector<T> stored(elems_);
    EXPECT_EQ(cudaMemcpy(stored.data(), data_, bytes(), cudaMemcpyDeviceToHost), cudaSuccess);
    std::vector<float> values(elems_);
    for (std::size_t i = 0; i < elems_; ++i) values[i] = to_float(stored[i]);
    return values;
  }

 private:
  void* data_ = nullptr;
  std::size_t elems_;
};

/// Values in [-1, 1] that bf16 holds exactly, the same in every run.
inline std::vector<float> random_values(std::size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(static_cast<int>(generator() % 257) - 128) / 128.0f;
  return values;
}

/// Largest |a - b| / (1 + |b|); places where both are NaN are not compared.
inline double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = a.size() == b.size() ? 0 : INFINITY;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    const double difference = std::abs(static_cast<double>(a[i]) - b[i]) / (1 + std::abs(static_cast<double>(b[i])));
    largest = difference <= largest ? largest : difference;  // a NaN stays
  }
  return largest;
}

}  // namespace dml::emulator
