#include "tests/device_emulator/cudnn/convolution_sums.h"

#include <algorithm>
#include <vector>

#include "kernels/bf16.h"
#include "tests/device_emulator/tf32.h"

namespace dml::emulator::dnn {

namespace {

float load(const void* data, cudnnDataType_t type, std::int64_t at) {
  if (type == CUDNN_DATA_BFLOAT16) return to_float(static_cast<const bf16*>(data)[at]);
  return static_cast<const float*>(data)[at];
}

/// An operand, as the multiplication sees it.
float factor(const Geometry& g, const void* data, std::int64_t at) {
  const float value = load(data, g.x.type, at);
  return uses_tf32(g) ? to_tf32(value) : value;
}

/// data[at] = alpha · sum + beta · data[at]
void blend(void* data, cudnnDataType_t type, std::int64_t at, double sum, float alpha, float beta) {
  float value = alpha * static_cast<float>(sum);
  if (beta != 0) value += beta * load(data, type, at);
  if (type == CUDNN_DATA_BFLOAT16) {
    static_cast<bf16*>(data)[at] = to_bf16(value);
  } else {
    static_cast<float*>(data)[at] = value;
  }
}

/// One plane of a tensor, packed.
class Planes {
 public:
  Planes(const Geometry& g, const cudnnTensorStruct& tensor, const void* data) : g_(g), tensor_(tensor), data_(data) {}

  std::vector<float> read(std::int64_t n, std::int64_t c) const {
    std::vector<float> plane;
    plane.reserve(static_cast<std::size_t>(tensor_.dims[2] * tensor_.dims[3]));
    for_each_place(n, c, [&](std::int64_t at) { plane.push_back(factor(g_, data_, at)); });
    return plane;
  }
  void blend_in(std::int64_t n, std::int64_t c, const std::vector<double>& sums, float alpha, float beta) const {
    std::size_t i = 0;
    for_each_place(n, c,
                   [&](std::int64_t at) { blend(const_cast<void*>(data_), tensor_.type, at, sums[i++], alpha, beta); });
  }

 private:
  template <typename Visit>
  void for_each_place(std::int64_t n, std::int64_t c, Visit visit) const {
    const std::int64_t first = n * tensor_.strides[0] + c * tensor_.strides[1];
    for (std::int64_t h = 0; h < tensor_.dims[2]; ++h) {
      for (std::int64_t w = 0; w < tensor_.dims[3]; ++w) visit(first + h * tensor_.strides[2] + w * tensor_.strides[3]);
    }
  }

  const Geometry& g_;
  const cudnnTensorStruct& tensor_;
  const void* data_;
};

/// Output places p whose input place p · stride + shift lies inside [0, input).
struct Span {
  std::int64_t first, last, shift;
};
Span span(const Geometry& g, int dim, std::int64_t tap) {
  const std::int64_t stride = g.convolution.stride[dim], input = g.x.dims[2 + dim];
  const std::int64_t shift = tap * g.convolution.dilation[dim] - g.convolution.pad[dim];
  const std::int64_t first = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
  const std::int64_t past = input - shift;  // p · stride < past
  const std::int64_t last = past <= 0 ? 0 : (past + stride - 1) / stride;
  return {first, std::min(last, g.y.dims[2 + dim]), shift};
}

/// Calls visit(place in y's plane, place in x's plane) for all pairs that tap (r, s) of a filter joins, in order.
template <typename Visit>
void for_each_pair(const Geometry& g, std::int64_t r, std::int64_t s, Visit visit) {
  const Span rows = span(g, 0, r), cols = span(g, 1, s);
  for (std::int64_t p = rows.first; p < rows.last; ++p) {
    const std::int64_t x_row = (p * g.convolution.stride[0] + rows.shift) * g.x.dims[3] + cols.shift;
    const std::int64_t y_row = p * g.y.dims[3];
    for (std::int64_t q = cols.first; q < cols.last; ++q) visit(y_row + q, x_row + q * g.convolution.stride[1]);
  }
}

/// Where the weight of tap (r, s) stands: a true convolution has its filter turned around.
std::int64_t weight_at(const Geometry& g, std::int64_t k, std::int64_t c, std::int64_t r, std::int64_t s) {
  const auto [K, C, R, S] = g.w.dims;
  if (g.convolution.mode == CUDNN_CONVOLUTION) {
    r = R - 1 - r;
    s = S - 1 - s;
  }
  return ((k * C + c) * R + r) * S + s;
}

std::int64_t input_channel(const Geometry& g, std::int64_t k, std::int64_t c) {
  return k / (g.w.dims[0] / g.convolution.groups) * g.w.dims[1] + c;
}

}  // namespace

std::int64_t places(const cudnnConvolutionStruct& convolution, std::int64_t input, std::int64_t kernel, int dim) {
  const std::int64_t reach = convolution.dilation[dim] * (kernel - 1) + 1;
  return (input + 2 * convolution.pad[dim] - reach) / convolution.stride[dim] + 1;
}

void forward(const Geometry& g, void* y, const void* x, const void* w, float alpha, float beta) {
  const auto [K, C, R, S] = g.w.dims;
  const Planes inputs(g, g.x, x), outputs(g, g.y, y);
  for (std::int64_t n = 0; n < g.x.dims[0]; ++n) {
    std::vector<std::vector<float>> planes;
    for (std::int64_t c = 0; c < g.x.dims[1]; ++c) planes.push_back(inputs.read(n, c));
    for (std::int64_t k = 0; k < K; ++k) {
      std::vector<double> sums(static_cast<std::size_t>(g.y.dims[2] * g.y.dims[3]));
      for (std::int64_t tap = 0; tap < C * R * S; ++tap) {
        const std::int64_t c = tap / (R * S), r = tap / S % R, s = tap % S;
        const double weight = factor(g, w, weight_at(g, k, c, r, s));
        const auto& plane = planes[static_cast<std::size_t>(input_channel(g, k, c))];
        for_each_pair(g, r, s, [&](std::int64_t to, std::int64_t from) { sums[to] += weight * plane[from]; });
      }
      outputs.blend_in(n, k, sums, alpha, beta);
    }
  }
}

void backward_data(const Geometry& g, void* dx, const void* dy, const void* w, float alpha, float beta) {
  const auto [K, C, R, S] = g.w.dims;
  const Planes results(g, g.x, dx), gradients(g, g.y, dy);
  const auto places_of_x = static_cast<std::size_t>(g.x.dims[2] * g.x.dims[3]);
  for (std::int64_t n = 0; n < g.x.dims[0]; ++n) {
    std::vector<std::vector<double>> sums(static_cast<std::size_t>(g.x.dims[1]), std::vector<double>(places_of_x));
    for (std::int64_t k = 0; k < K; ++k) {
      const std::vector<float> gradient = gradients.read(n, k);
      for (std::int64_t tap = 0; tap < C * R * S; ++tap) {
        const std::int64_t c = tap / (R * S), r = tap / S % R, s = tap % S;
        const double weight = factor(g, w, weight_at(g, k, c, r, s));
        auto& plane = sums[static_cast<std::size_t>(input_channel(g, k, c))];
        for_each_pair(g, r, s, [&](std::int64_t from, std::int64_t to) { plane[to] += weight * gradient[from]; });
      }
    }
    for (std::int64_t c = 0; c < g.x.dims[1]; ++c) {
      results.blend_in(n, c, sums[static_cast<std::size_t>(c)], alpha, beta);
    }
  }
}

void backward_filter(const Geometry& g, void* dw, const void* dy, const void* x, float alpha, float beta) {
  const auto [K, C, R, S] = g.w.dims;
  const Planes inputs(g, g.x, x), gradients(g, g.y, dy);
  std::vector<double> sums(static_cast<std::size_t>(extent(g.w)));
  for (std::int64_t n = 0; n < g.x.dims[0]; ++n) {
    std::vector<std::vector<float>> planes;
    for (std::int64_t c = 0; c < g.x.dims[1]; ++c) planes.push_back(inputs.read(n, c));
    for (std::int64_t k = 0; k < K; ++k) {
      const std::vector<float> gradient = gradients.read(n, k);
      for (std::int64_t tap = 0; tap < C * R * S; ++tap) {
        const std::int64_t c = tap / (R * S), r = tap / S % R, s = tap % S;
        const auto& plane = planes[static_cast<std::size_t>(input_channel(g, k, c))];
        double sum = 0;
        for_each_pair(g, r, s, [&](std::int64_t at, std::int64_t from) {
          sum += static_cast<double>(gradient[at]) * plane[from];
        });
        sums[static_cast<std::size_t>(weight_at(g, k, c, r, s))] += sum;
      }
    }
  }
  for (std::int64_t i = 0; i < extent(g.w); ++i) blend(dw, g.w.type, i, sums[static_cast<std::size_t>(i)], alpha, beta);
}

}  // namespace dml::emulator::dnn
