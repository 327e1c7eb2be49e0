// Kernels on a device, real or emulated, against the CPU's on the same numbers.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/cuda/check.h"
#include "kernels/cuda/handles.h"
#include "kernels/step_state.h"
#include "kernels/tensor.h"

namespace dml::testing {

template <typename T>
std::vector<T> uniform(std::int64_t n, double low, double high, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<double> between(low, high);
  std::vector<T> values(static_cast<std::size_t>(n));
  for (T& value : values) value = static_cast<T>(between(generator));
  return values;
}

inline std::vector<float> normal_floats(std::int64_t n, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& value : values) value = normal(generator);
  return values;
}

/// |result - reference| ≤ tolerance · (1 + |reference|), and NaN where the reference is.
inline void expect_near(const std::vector<float>& result, const std::vector<float>& reference, double tolerance,
                        const std::string& what) {
  ASSERT_EQ(result.size(), reference.size()) << what;
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (result[i] == reference[i] || (std::isnan(reference[i]) && std::isnan(result[i]))) continue;
    const double difference = std::abs(static_cast<double>(result[i]) - static_cast<double>(reference[i]));
    ASSERT_LE(difference, tolerance * (1 + std::abs(static_cast<double>(reference[i]))))
        << what << " at " << i << ": " << result[i] << " for " << reference[i];
  }
}

/// A queue of its own, and device memory that lives as long as the test. Skipped where there is no device.
class DeviceTest : public ::testing::Test {
 protected:
  static constexpr std::size_t kWorkspaceBytes = std::size_t{1} << 20;

  void SetUp() override {
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) GTEST_SKIP() << "no CUDA device";
    DML_CUDA(cudaStreamCreate(&queue_.stream));
    queue_.fault = upload(std::vector<cuda::Fault>(1));
    queue_.workspace = allocate(kWorkspaceBytes);
    queue_.workspace_bytes = kWorkspaceBytes;
    handles_ = std::make_unique<cuda::Handles>(queue_.stream);
    queue_.handles = handles_.get();
  }

  void TearDown() override {
    handles_.reset();
    for (void* memory : allocated_) cudaFree(memory);
    if (queue_.stream != nullptr) cudaStreamDestroy(queue_.stream);
  }

  const cuda::Queue& queue() const { return queue_; }

  void* allocate(std::size_t bytes) {
    void* memory = nullptr;
    DML_CUDA(cudaMalloc(&memory, std::max<std::size_t>(bytes, 1)));
    allocated_.push_back(memory);
    return memory;
  }
  template <typename T>
  T* allocate_elems(std::int64_t n) {
    return static_cast<T*>(allocate(static_cast<std::size_t>(n) * sizeof(T)));
  }
  template <typename T>
  T* upload(const std::vector<T>& values) {
    auto* const memory = allocate_elems<T>(static_cast<std::int64_t>(values.size()));
    DML_CUDA(cudaMemcpy(memory, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
    return memory;
  }
  template <typename T>
  std::vector<T> download(const T* memory, std::int64_t n) {
    std::vector<T> values(static_cast<std::size_t>(n));
    DML_CUDA(cudaMemcpyAsync(values.data(), memory, values.size() * sizeof(T), cudaMemcpyDeviceToHost, queue_.stream));
    DML_CUDA(cudaStreamSynchronize(queue_.stream));
    return values;
  }
  cuda::Fault fault() { return download(queue_.fault, 1)[0]; }

 private:
  cuda::Queue queue_;
  std::unique_ptr<cuda::Handles> handles_;
  std::vector<void*> allocated_;
};

}  // namespace dml::testing
