// What cuDNN's descriptors hold: tensors and filters of four dims, convolutions of two.
#pragma once

#include <cudnn.h>

#include <cstddef>
#include <cstdint>

#include "tests/device_emulator/library.h"

struct cudnnTensorStruct {
  bool is_set = false;
  cudnnDataType_t type = CUDNN_DATA_FLOAT;
  std::int64_t dims[4] = {};     ///< N, C, H, W
  std::int64_t strides[4] = {};  ///< elements
};

struct cudnnFilterStruct {
  bool is_set = false;
  cudnnDataType_t type = CUDNN_DATA_FLOAT;
  std::int64_t dims[4] = {};  ///< out channels, in channels per group, H, W; packed in this order
};

struct cudnnConvolutionStruct {
  bool is_set = false;
  std::int64_t pad[2] = {}, stride[2] = {}, dilation[2] = {};  ///< H, W
  cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
  cudnnDataType_t compute_type = CUDNN_DATA_FLOAT;
  cudnnMathType_t math_type = CUDNN_DEFAULT_MATH;
  int groups = 1;
};

namespace dml::emulator::dnn {

/// Bytes of an element; 0 for types that are not emulated (all but f32 and bf16).
std::size_t element_bytes(cudnnDataType_t type);

/// Elements from the first to behind the last one.
std::int64_t extent(const cudnnTensorStruct& tensor);
std::int64_t extent(const cudnnFilterStruct& filter);

/// See emulator::refuse.
inline cudnnStatus_t refuse(cudnnStatus_t status, const char* why) { return emulator::refuse("cudnn", status, why); }

}  // namespace dml::emulator::dnn
