// Matrix products and convolutions: sums of products over index sets.
#include <tuple>

#include "tests/reference/rules.h"

namespace dml::reference {
namespace {

/// finish(index, sum) for every element of op(a) op(b), whose shape is `y`.
template <typename Finish>
void for_each_sum(const Shape& y, const Tensor64& a, bool trans_a, const Tensor64& b, bool trans_b,
                  const Finish& finish) {
  const std::int64_t num_k = a.shape[a.shape.rank() - (trans_a ? 2 : 1)];
  for_each(y, [&](const Index& i) {
    const std::int64_t m = i[i.size() - 2];
    const std::int64_t n = i[i.size() - 1];
    Index in_a = i;
    Index in_b = i;
    double sum = 0;
    for (std::int64_t k = 0; k < num_k; ++k) {
      in_a[i.size() - 2] = trans_a ? k : m;
      in_a[i.size() - 1] = trans_a ? m : k;
      in_b[i.size() - 2] = trans_b ? n : k;
      in_b[i.size() - 1] = trans_b ? k : n;
      sum += at(a, in_a) * at(b, in_b);
    }
    finish(i, sum);
  });
}

void mat_mul(const Call& call) {
  for_each_sum(call.out[0].shape, call.in[0], call.attrs().integer("trans_a") != 0, call.in[1],
               call.attrs().integer("trans_b") != 0, [&](const Index& i, double sum) {
                 at(call.out[0], i) = call.attrs().real("alpha", 1) * sum + (call.has(2) ? at(call.in[2], i) : 0);
               });
}

void linear_gelu(const Call& call) {
  for_each_sum(call.out[0].shape, call.in[0], false, call.in[1], call.attrs().integer("trans_b") != 0,
               [&](const Index& i, double sum) {
                 at(call.out[1], i) = sum + at(call.in[2], i);
                 at(call.out[0], i) = gelu(at(call.out[1], i), true);
               });
}

void linear_gelu_grad(const Call& call) {
  for_each_sum(call.out[0].shape, call.in[0], false, call.in[1], call.attrs().integer("trans_b") != 0,
               [&](const Index& i, double sum) { at(call.out[0], i) = sum * gelu_slope(at(call.in[2], i), true); });
}

void linear_param_grad(const Call& call) {
  const auto& [x, dy] = std::tie(call.in[0], call.in[1]);
  const bool trans_b = call.attrs().integer("trans_b") != 0;
  for_each_sum(call.out[0].shape, trans_b ? dy : x, true, trans_b ? x : dy, false,
               [&](const Index& i, double sum) { at(call.out[0], i) = sum; });
  for_each(dy.shape, [&](const Index& i) { at(call.out[1], i) += at(dy, i); });
}

Shape spatial_dims(const Shape& shape) { return Shape(std::span(shape.begin() + 2, shape.end())); }

/// body(in_x, in_w, in_y) for every product of a convolution.
template <typename Body>
void for_each_product(const Call& call, const Shape& x, const Shape& w, const Shape& y, const Body& body) {
  const auto spatial = static_cast<std::size_t>(x.rank() - 2);
  const Index strides = call.list("strides", spatial, 1);
  const Index pads = call.list("pads", 2 * spatial, 0);
  const Index dilations = call.list("dilations", spatial, 1);
  const std::int64_t outputs_per_group = w[0] / call.attrs().integer("group", 1);
  for_each(y, [&](const Index& in_y) {
    for (std::int64_t channel = 0; channel < w[1]; ++channel) {
      for_each(spatial_dims(w), [&](const Index& tap) {
        Index in_x{in_y[0], in_y[1] / outputs_per_group * w[1] + channel};
        Index in_w{in_y[1], channel};
        for (std::size_t dim = 0; dim < spatial; ++dim) {
          const std::int64_t place = in_y[dim + 2] * strides[dim] + tap[dim] * dilations[dim] - pads[dim];
          if (place < 0 || place >= x[static_cast<int>(dim) + 2]) return;
          in_x.push_back(place);
          in_w.push_back(tap[dim]);
        }
        body(in_x, in_w, in_y);
      });
    }
  });
}

void conv(const Call& call) {
  const auto& [x, w] = std::tie(call.in[0], call.in[1]);
  Tensor64& y = call.out[0];
  if (call.has(2))
    for_each(y.shape, [&](const Index& i) { at(y, i) = call.in[2].elements[static_cast<std::size_t>(i[1])]; });
  for_each_product(call, x.shape, w.shape, y.shape, [&](const Index& in_x, const Index& in_w, const Index& in_y) {
    at(y, in_y) += at(x, in_x) * at(w, in_w);
  });
}

void conv_input_grad(const Call& call) {
  const auto& [dy, w] = std::tie(call.in[0], call.in[1]);
  Tensor64& dx = call.out[0];
  for_each_product(call, dx.shape, w.shape, dy.shape, [&](const Index& in_x, const Index& in_w, const Index& in_y) {
    at(dx, in_x) += at(dy, in_y) * at(w, in_w);
  });
}

void conv_weight_grad(const Call& call) {
  const auto& [dy, x] = std::tie(call.in[0], call.in[1]);
  Tensor64& dw = call.out[0];
  for_each_product(call, x.shape, dw.shape, dy.shape, [&](const Index& in_x, const Index& in_w, const Index& in_y) {
    at(dw, in_w) += at(dy, in_y) * at(x, in_x);
  });
}

}  // namespace

void add_linear(Rules& rules) {
  rules["MatMul"] = mat_mul;
  rules["LinearGelu"] = linear_gelu;
  rules["LinearGeluGrad"] = linear_gelu_grad;
  rules["LinearParamGrad"] = linear_param_grad;
  rules["Conv"] = conv;
  rules["ConvInputGrad"] = conv_input_grad;
  rules["ConvWeightGrad"] = conv_weight_grad;
}

}  // namespace dml::reference
