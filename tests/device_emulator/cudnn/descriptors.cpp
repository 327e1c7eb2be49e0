#include "tests/device_emulator/cudnn/descriptors.h"

#include <algorithm>

namespace dml::emulator::dnn {

std::size_t element_bytes(cudnnDataType_t type) {
  return type == CUDNN_DATA_FLOAT ? 4 : type == CUDNN_DATA_BFLOAT16 ? 2 : 0;
}

std::int64_t extent(const cudnnTensorStruct& tensor) {
  std::int64_t last = 0;
  for (int i = 0; i < 4; ++i) last += (tensor.dims[i] - 1) * tensor.strides[i];
  return last + 1;
}

std::int64_t extent(const cudnnFilterStruct& filter) {
  return filter.dims[0] * filter.dims[1] * filter.dims[2] * filter.dims[3];
}

namespace {

template <typename Struct>
cudnnStatus_t create(Struct** descriptor) {
  if (descriptor == nullptr) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
  *descriptor = new Struct;
  return CUDNN_STATUS_SUCCESS;
}

bool is_positive(const std::int64_t* values, int count) {
  return std::all_of(values, values + count, [](std::int64_t value) { return value > 0; });
}

cudnnStatus_t set_tensor(cudnnTensorStruct* tensor, const cudnnTensorStruct& value) {
  if (tensor == nullptr) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
  if (!is_positive(value.dims, 4) || !is_positive(value.strides, 4)) {
    return refuse(CUDNN_STATUS_BAD_PARAM, "a tensor's dims and strides are positive");
  }
  if (element_bytes(value.type) == 0)
    return refuse(CUDNN_STATUS_NOT_SUPPORTED, "element types: f32, bf16 are emulated");
  *tensor = value;
  return CUDNN_STATUS_SUCCESS;
}

}  // namespace

}  // namespace dml::emulator::dnn

using namespace dml::emulator::dnn;

extern "C" {

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t* tensor) {
  EMULATOR_ENTRY(cudnnStatus_t);
  return create(tensor);
}
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t tensor) {
  EMULATOR_ENTRY(cudnnStatus_t);
  delete tensor;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t tensor, cudnnTensorFormat_t format,
                                         cudnnDataType_t type, int n, int c, int h, int w) {
  EMULATOR_ENTRY(cudnnStatus_t);
  const std::int64_t N = n, C = c, H = h, W = w;
  if (format == CUDNN_TENSOR_NCHW) return set_tensor(tensor, {true, type, {N, C, H, W}, {C * H * W, H * W, W, 1}});
  if (format == CUDNN_TENSOR_NHWC) return set_tensor(tensor, {true, type, {N, C, H, W}, {H * W * C, 1, W * C, C}});
  return refuse(CUDNN_STATUS_NOT_SUPPORTED, "tensor format: NCHW and NHWC are emulated");
}
cudnnStatus_t cudnnSetTensor4dDescriptorEx(cudnnTensorDescriptor_t tensor, cudnnDataType_t type, int n, int c, int h,
                                           int w, int n_stride, int c_stride, int h_stride, int w_stride) {
  EMULATOR_ENTRY(cudnnStatus_t);
  return set_tensor(tensor, {true, type, {n, c, h, w}, {n_stride, c_stride, h_stride, w_stride}});
}

cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t* filter) {
  EMULATOR_ENTRY(cudnnStatus_t);
  return create(filter);
}
cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t filter) {
  EMULATOR_ENTRY(cudnnStatus_t);
  delete filter;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t filter, cudnnDataType_t type,
                                         cudnnTensorFormat_t format, int k, int c, int h, int w) {
  EMULATOR_ENTRY(cudnnStatus_t);
  if (filter == nullptr) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
  const cudnnFilterStruct value{true, type, {k, c, h, w}};
  if (!is_positive(value.dims, 4)) return refuse(CUDNN_STATUS_BAD_PARAM, "a filter's dims are positive");
  if (element_bytes(type) == 0) return refuse(CUDNN_STATUS_NOT_SUPPORTED, "element types: f32, bf16 are emulated");
  if (format != CUDNN_TENSOR_NCHW) return refuse(CUDNN_STATUS_NOT_SUPPORTED, "filter format: NCHW is emulated");
  *filter = value;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t* convolution) {
  EMULATOR_ENTRY(cudnnStatus_t);
  return create(convolution);
}
cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t convolution) {
  EMULATOR_ENTRY(cudnnStatus_t);
  delete convolution;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t convolution, int pad_h, int pad_w,
                                              int stride_h, int stride_w, int dilation_h, int dilation_w,
                                              cudnnConvolutionMode_t mode, cudnnDataType_t compute_type) {
  EMULATOR_ENTRY(cudnnStatus_t);
  if (convolution == nullptr) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
  if (pad_h < 0 || pad_w < 0 || stride_h < 1 || stride_w < 1 || dilation_h < 1 || dilation_w < 1) {
    return refuse(CUDNN_STATUS_BAD_PARAM, "pads are at least 0, strides and dilations at least 1");
  }
  if (compute_type != CUDNN_DATA_FLOAT) return refuse(CUDNN_STATUS_NOT_SUPPORTED, "compute type: f32 is emulated");
  convolution->is_set = true;
  convolution->pad[0] = pad_h;
  convolution->pad[1] = pad_w;
  convolution->stride[0] = stride_h;
  convolution->stride[1] = stride_w;
  convolution->dilation[0] = dilation_h;
  convolution->dilation[1] = dilation_w;
  convolution->mode = mode;
  convolution->compute_type = compute_type;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t convolution, int groups) {
  EMULATOR_ENTRY(cudnnStatus_t);
  if (convolution == nullptr || groups < 1) return CUDNN_STATUS_BAD_PARAM;
  convolution->groups = groups;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t convolution, cudnnMathType_t math_type) {
  EMULATOR_ENTRY(cudnnStatus_t);
  if (convolution == nullptr) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
  convolution->math_type = math_type;
  return CUDNN_STATUS_SUCCESS;
}

}  // extern "C"
