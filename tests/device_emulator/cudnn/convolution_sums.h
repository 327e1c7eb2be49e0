// Convolutions by direct sums in double, in a fixed order: the arithmetic behind cuDNN's three calls.
#pragma once

#include "tests/device_emulator/cudnn/descriptors.h"

namespace dml::emulator::dnn {

/// x[N, C, H, W] and y[N, K, P, Q] with filters w[K, C / groups, R, S].
struct Geometry {
  cudnnTensorStruct x, y;
  cudnnFilterStruct w;
  cudnnConvolutionStruct convolution;
};

/// Whether operands are rounded to TF32, as they may be where the math type does not forbid it.
inline bool uses_tf32(const Geometry& geometry) {
  return geometry.x.type == CUDNN_DATA_FLOAT && geometry.convolution.math_type != CUDNN_FMA_MATH;
}

/// Output places along a spatial dim (0: H, 1: W).
std::int64_t places(const cudnnConvolutionStruct& convolution, std::int64_t input, std::int64_t kernel, int dim);

// Each: result = alpha · sum + beta · result; beta = 0 does not read the result.
void forward(const Geometry& geometry, void* y, const void* x, const void* w, float alpha, float beta);
void backward_data(const Geometry& geometry, void* dx, const void* dy, const void* w, float alpha, float beta);
void backward_filter(const Geometry& geometry, void* dw, const void* dy, const void* x, float alpha, float beta);

}  // namespace dml::emulator::dnn
