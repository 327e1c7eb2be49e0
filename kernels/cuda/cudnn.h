// The functions of cuDNN that we call, in a library that is opened by the first call.
#pragma once

#include <cudnn.h>

// Applied to the name of each function.
#define DML_CUDNN_FUNCTIONS(X)                     \
  X(cudnnConvolutionBackwardData)                  \
  X(cudnnConvolutionBackwardFilter)                \
  X(cudnnConvolutionForward)                       \
  X(cudnnCreate)                                   \
  X(cudnnCreateConvolutionDescriptor)              \
  X(cudnnCreateFilterDescriptor)                   \
  X(cudnnCreateTensorDescriptor)                   \
  X(cudnnDestroy)                                  \
  X(cudnnDestroyConvolutionDescriptor)             \
  X(cudnnDestroyFilterDescriptor)                  \
  X(cudnnDestroyTensorDescriptor)                  \
  X(cudnnGetConvolutionBackwardDataAlgorithm_v7)   \
  X(cudnnGetConvolutionBackwardFilterAlgorithm_v7) \
  X(cudnnGetConvolutionForwardAlgorithm_v7)        \
  X(cudnnGetErrorString)                           \
  X(cudnnGetVersion)                               \
  X(cudnnSetConvolution2dDescriptor)               \
  X(cudnnSetConvolutionGroupCount)                 \
  X(cudnnSetConvolutionMathType)                   \
  X(cudnnSetFilter4dDescriptor)                    \
  X(cudnnSetStream)                                \
  X(cudnnSetTensor4dDescriptor)

namespace dml::cuda {

struct Cudnn {
#define DML_MEMBER(function) decltype(&::function) function = nullptr;  // NOLINT(bugprone-macro-parentheses)
  DML_CUDNN_FUNCTIONS(DML_MEMBER)
#undef DML_MEMBER
};

/// Throws DeviceError where the library is missing or of another major version than its headers.
const Cudnn& cudnn();

/// Throws DeviceError that names the call and the status unless it is success.
void check_cudnn(cudnnStatus_t status, const char* call);

}  // namespace dml::cuda

/// Calls a function of cuDNN; throws DeviceError that names it where it fails.
#define DML_CUDNN(function, ...) ::dml::cuda::check_cudnn(::dml::cuda::cudnn().function(__VA_ARGS__), #function)
