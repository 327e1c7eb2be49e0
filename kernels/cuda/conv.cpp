// Convolutions by cuDNN's calls of version 7, which know nothing of a plan that would have to be kept: shapes in,
// algorithm out. One spatial dim is two, the first of them 1.
#include "kernels/conv.h"

#include <algorithm>
#include <array>
#include <limits>
#include <memory>

#include <fmt/format.h>

#include "kernels/bf16.h"
#include "kernels/cuda/bias.h"
#include "kernels/cuda/cudnn.h"
#include "kernels/cuda/device/workspace.h"
#include "kernels/cuda/handles.h"
#include "kernels/cuda/library.h"
#include "kernels/cuda/strided_copy.h"
#include "kernels/error.h"
#include "kernels/move.h"

namespace dml::cuda {
namespace {

using Tensor = std::unique_ptr<cudnnTensorStruct, Destroy<cudnn, &Cudnn::cudnnDestroyTensorDescriptor>>;
using Filter = std::unique_ptr<cudnnFilterStruct, Destroy<cudnn, &Cudnn::cudnnDestroyFilterDescriptor>>;
using Descriptor = std::unique_ptr<cudnnConvolutionStruct, Destroy<cudnn, &Cudnn::cudnnDestroyConvolutionDescriptor>>;

constexpr float kOne = 1;
constexpr float kZero = 0;
constexpr std::size_t kAlignment = 256;  ///< of what lies in the workspace

cudnnDataType_t type_of(const TensorView& view) {
  return view.dtype == DataType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

int number(std::int64_t n) {
  if (n > std::numeric_limits<int>::max()) {
    throw std::invalid_argument(fmt::format("[conv] an extent of {}: cuDNN counts in 32 bits", n));
  }
  return static_cast<int>(n);
}

/// The extents of x, y or w with two spatial dims.
std::array<std::int64_t, 4> planar(const Shape& shape) {
  if (shape.rank() == 3) return {shape[0], shape[1], 1, shape[2]};
  return {shape[0], shape[1], shape[2], shape[3]};
}
Window::Extents planar(const Window::Extents& extents, const Shape& x, std::int64_t missing) {
  return x.rank() == 3 ? Window::Extents{missing, extents[0]} : extents;
}

Tensor tensor_of(cudnnDataType_t type, const std::array<std::int64_t, 4>& extents) {
  cudnnTensorDescriptor_t made = nullptr;
  DML_CUDNN(cudnnCreateTensorDescriptor, &made);
  Tensor owned(made);
  DML_CUDNN(cudnnSetTensor4dDescriptor, made, CUDNN_TENSOR_NCHW, type, number(extents[0]), number(extents[1]),
            number(extents[2]), number(extents[3]));
  return owned;
}

Filter filter_of(cudnnDataType_t type, const std::array<std::int64_t, 4>& extents) {
  cudnnFilterDescriptor_t made = nullptr;
  DML_CUDNN(cudnnCreateFilterDescriptor, &made);
  Filter owned(made);
  DML_CUDNN(cudnnSetFilter4dDescriptor, made, type, CUDNN_TENSOR_NCHW, number(extents[0]), number(extents[1]),
            number(extents[2]), number(extents[3]));
  return owned;
}

/// What the three operations share: descriptors, and the padded copy of x where pads differ between the sides.
class Convolution {
 public:
  /// Of `x` counts the type and shape, as of the others.
  Convolution(const TensorView& y, const TensorView& x, const TensorView& w, const ConvOptions& options,
              const Queue& queue);

  cudnnHandle_t handle() const { return queue_.handles->dnn(); }
  cudnnTensorDescriptor_t x() const { return x_.get(); }
  cudnnTensorDescriptor_t y() const { return y_.get(); }
  cudnnFilterDescriptor_t w() const { return w_.get(); }
  cudnnConvolutionDescriptor_t operation() const { return operation_.get(); }
  const Queue& queue() const { return queue_; }

  /// cuDNN's part of the workspace.
  void* scratch() const { return static_cast<std::byte*>(queue_.workspace) + padded_bytes_; }
  std::size_t scratch_bytes() const { return queue_.workspace_bytes - padded_bytes_; }

  /// x as cuDNN is to read it: itself, or copied with zeros around it.
  const void* padded(const void* x) const;
  /// Where cuDNN is to write dx, and its way from there to where it belongs.
  void* padded_gradient(void* dx) const { return padded_bytes_ == 0 ? dx : queue_.workspace; }
  void crop(void* dx) const;

  /// The first algorithm that `ask` names which is deterministic, has room and computes as the descriptor says.
  template <typename Performance, typename Ask>
  auto choose(const Ask& ask) const;

 private:
  StridedCopy inside() const;
  std::int64_t first_inside() const { return pads_begin_[0] * padded_extents_[3] + pads_begin_[1]; }

  const Queue& queue_;
  DataType type_;
  std::array<std::int64_t, 4> x_extents_, padded_extents_;
  Window::Extents pads_begin_;
  std::size_t padded_bytes_ = 0;  ///< 0 where x is read as it is
  Tensor x_, y_;
  Filter w_;
  Descriptor operation_;
};

Descriptor operation_of(const Window::Extents& pads, const ConvOptions& options, const TensorView& x,
                        const Queue& queue) {
  cudnnConvolutionDescriptor_t made = nullptr;
  DML_CUDNN(cudnnCreateConvolutionDescriptor, &made);
  Descriptor owned(made);
  const auto strides = planar(options.window.strides, x.shape, 1);
  const auto dilations = planar(options.window.dilations, x.shape, 1);
  DML_CUDNN(cudnnSetConvolution2dDescriptor, made, number(pads[0]), number(pads[1]), number(strides[0]),
            number(strides[1]), number(dilations[0]), number(dilations[1]), CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT);
  DML_CUDNN(cudnnSetConvolutionGroupCount, made, number(options.group));
  const auto f32_math = queue.tf32 ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH;
  DML_CUDNN(cudnnSetConvolutionMathType, made, x.dtype == DataType::f32 ? f32_math : CUDNN_TENSOR_OP_MATH);
  return owned;
}

Convolution::Convolution(const TensorView& y, const TensorView& x, const TensorView& w, const ConvOptions& options,
                         const Queue& queue)
    : queue_(queue), type_(x.dtype), x_extents_(planar(x.shape)), padded_extents_(x_extents_) {
  pads_begin_ = planar(options.window.pads_begin, x.shape, 0);
  const auto pads_end = planar(options.window.pads_end, x.shape, 0);
  const bool is_even = pads_begin_ == pads_end;
  if (!is_even) {
    for (std::size_t side = 0; side < 2; ++side) padded_extents_[2 + side] += pads_begin_[side] + pads_end[side];
    std::size_t bytes = size_of(x.dtype);
    for (const std::int64_t extent : padded_extents_) bytes *= static_cast<std::size_t>(extent);
    padded_bytes_ = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    workspace<std::byte>(queue, static_cast<std::int64_t>(padded_bytes_));
  }
  x_ = tensor_of(type_of(x), padded_extents_);
  y_ = tensor_of(type_of(x), planar(y.shape));
  w_ = filter_of(type_of(x), planar(w.shape));
  operation_ = operation_of(is_even ? pads_begin_ : Window::Extents{}, options, x, queue);
}

/// From x to its place in the padded one.
StridedCopy Convolution::inside() const {
  StridedCopy plan;
  plan.push_back(x_extents_[0] * x_extents_[1], padded_extents_[2] * padded_extents_[3], x_extents_[2] * x_extents_[3]);
  plan.push_back(x_extents_[2], padded_extents_[3], x_extents_[3]);
  plan.push_back(x_extents_[3], 1, 1);
  return plan;
}

const void* Convolution::padded(const void* x) const {
  if (padded_bytes_ == 0) return x;
  const std::size_t size = size_of(type_);
  zero({queue_.workspace, DataType::u8, Shape{static_cast<std::int64_t>(padded_bytes_)}}, queue_);
  copy_strided(static_cast<std::byte*>(queue_.workspace) + first_inside() * static_cast<std::int64_t>(size), x,
               inside(), size, queue_);
  return queue_.workspace;
}

void Convolution::crop(void* dx) const {
  if (padded_bytes_ == 0) return;
  const std::size_t size = size_of(type_);
  StridedCopy plan = inside();
  std::swap(plan.to_strides, plan.from_strides);
  copy_strided(dx, static_cast<const std::byte*>(queue_.workspace) + first_inside() * static_cast<std::int64_t>(size),
               plan, size, queue_);
}

template <typename Performance, typename Ask>
auto Convolution::choose(const Ask& ask) const {
  std::array<Performance, 8> found{};
  int count = 0;
  ask(static_cast<int>(found.size()), &count, found.data());
  for (const Performance& entry : std::span(found).first(static_cast<std::size_t>(count))) {
    const bool keeps_f32 =
        type_ != DataType::f32 || queue_.tf32 ||
        (entry.mathType != CUDNN_TENSOR_OP_MATH && entry.mathType != CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION);
    if (entry.status == CUDNN_STATUS_SUCCESS && entry.determinism == CUDNN_DETERMINISTIC && keeps_f32 &&
        entry.memory <= scratch_bytes()) {
      return entry.algo;
    }
  }
  throw DeviceError(
      fmt::format("cuDNN has no deterministic algorithm for a convolution of {} images of {}x{} with {} "
                  "bytes of workspace",
                  x_extents_[0], x_extents_[2], x_extents_[3], scratch_bytes()));
}

void check(const TensorView& y, const TensorView& x, const TensorView& w, const TensorView& bias,
           const ConvOptions& options) {
  check_conv(y.shape, x.shape, w.shape, options);
  const bool stored = x.dtype == DataType::f32 || x.dtype == DataType::bf16;
  if (!stored || y.dtype != x.dtype || w.dtype != x.dtype || (bias && bias.dtype != x.dtype)) {
    fail_conv(fmt::format("y of {}, x of {}, w of {}", name_of(y.dtype), name_of(x.dtype), name_of(w.dtype)), y.shape,
              x.shape, w.shape, options);
  }
}

/// y = bias (absent: 0) in each channel.
std::function<void()> bias_of_channels(const TensorView& y, const TensorView& bias, const Queue& queue) {
  const auto of = [&]<typename T>(T) -> std::function<void()> {
    return [y = y.as<T>(), bias = bias.as<const T>(), samples = y.shape[0], channels = y.shape[1],
            places = y.shape.product(2, y.shape.rank()),
            &queue] { put_bias(y, bias, samples, channels, places, false, queue); };
  };
  return y.dtype == DataType::f32 ? of(float{}) : of(bf16{});
}

std::function<void()> zeros(const TensorView& y, const Queue& queue) {
  return [y, &queue] { zero(y, queue); };
}

}  // namespace

std::function<void()> prepare_conv(TensorView y, TensorView x, TensorView w, TensorView bias,
                                   const ConvOptions& options, const Queue& queue) {
  check(y, x, w, bias, options);
  if (y.num_elements() == 0) return [] {};
  if (x.num_elements() == 0 || w.num_elements() == 0) return bias_of_channels(y, bias, queue);
  const auto conv = std::make_shared<Convolution>(y, x, w, options, queue);
  const auto algorithm = conv->choose<cudnnConvolutionFwdAlgoPerf_t>([&](int wanted, int* count, auto* found) {
    DML_CUDNN(cudnnGetConvolutionForwardAlgorithm_v7, conv->handle(), conv->x(), conv->w(), conv->operation(),
              conv->y(), wanted, count, found);
  });
  // The bias lies in y before the sum is added to it and rounded: once, where y is bf16.
  const auto put = bias ? bias_of_channels(y, bias, queue) : [] {};
  return [conv, algorithm, put, beta = bias ? &kOne : &kZero, y = y.data, x = x.data, w = w.data] {
    put();
    DML_CUDNN(cudnnConvolutionForward, conv->handle(), &kOne, conv->x(), conv->padded(x), conv->w(), w,
              conv->operation(), algorithm, conv->scratch(), conv->scratch_bytes(), beta, conv->y(), y);
  };
}

std::function<void()> prepare_conv_input_grad(TensorView dx, TensorView dy, TensorView w, const ConvOptions& options,
                                              const Queue& queue) {
  check(dy, dx, w, TensorView{}, options);
  if (dy.num_elements() == 0 || dx.num_elements() == 0 || w.num_elements() == 0) return zeros(dx, queue);
  const auto conv = std::make_shared<Convolution>(dy, dx, w, options, queue);
  const auto algorithm = conv->choose<cudnnConvolutionBwdDataAlgoPerf_t>([&](int wanted, int* count, auto* found) {
    DML_CUDNN(cudnnGetConvolutionBackwardDataAlgorithm_v7, conv->handle(), conv->w(), conv->y(), conv->operation(),
              conv->x(), wanted, count, found);
  });
  return [conv, algorithm, dx = dx.data, dy = dy.data, w = w.data] {
    DML_CUDNN(cudnnConvolutionBackwardData, conv->handle(), &kOne, conv->w(), w, conv->y(), dy, conv->operation(),
              algorithm, conv->scratch(), conv->scratch_bytes(), &kZero, conv->x(), conv->padded_gradient(dx));
    conv->crop(dx);
  };
}

std::function<void()> prepare_conv_weight_grad(TensorView dw, TensorView dy, TensorView x, const ConvOptions& options,
                                               const Queue& queue) {
  check(dy, x, dw, TensorView{}, options);
  if (dw.num_elements() == 0 || dy.num_elements() == 0 || x.num_elements() == 0) return zeros(dw, queue);
  const auto conv = std::make_shared<Convolution>(dy, x, dw, options, queue);
  const auto algorithm = conv->choose<cudnnConvolutionBwdFilterAlgoPerf_t>([&](int wanted, int* count, auto* found) {
    DML_CUDNN(cudnnGetConvolutionBackwardFilterAlgorithm_v7, conv->handle(), conv->x(), conv->y(), conv->operation(),
              conv->w(), wanted, count, found);
  });
  return [conv, algorithm, dw = dw.data, dy = dy.data, x = x.data] {
    DML_CUDNN(cudnnConvolutionBackwardFilter, conv->handle(), &kOne, conv->x(), conv->padded(x), conv->y(), dy,
              conv->operation(), algorithm, conv->scratch(), conv->scratch_bytes(), &kZero, conv->w(), dw);
  };
}

}  // namespace dml::cuda
