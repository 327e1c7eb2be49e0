// The contexts of vendor libraries that work on one queue.
#pragma once

#include <cublasLt.h>

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "kernels/cuda/queue.h"

struct cudnnContext;

namespace dml::cuda {

/// Made when a kernel that needs them is bound: a model without convolutions asks for no cuDNN. Used by one thread.
class Handles {
 public:
  explicit Handles(Stream stream) : stream_(stream) {}
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;
  ~Handles();

  /// Each throws DeviceError where its library is missing, of another major version, or refuses.
  cublasLtContext* blas();
  /// Bound to the stream.
  cudnnContext* dnn();

  /// Algorithms that cublasLt has chosen, by all that it was told; none where it has none.
  std::map<std::vector<std::int64_t>, std::optional<cublasLtMatmulAlgo_t>> products;

 private:
  Stream stream_;
  cublasLtContext* blas_ = nullptr;
  cudnnContext* dnn_ = nullptr;
};

}  // namespace dml::cuda
