// Binders of matrix products, convolutions, pools and batch normalization.
#include <algorithm>
#include <stdexcept>
#include <string>

#include "kernels/batch_norm.h"
#include "kernels/conv.h"
#include "kernels/matmul.h"
#include "kernels/pool.h"
#include "runtime/device/cpu/operands.h"

namespace dml {
namespace {

TensorView optional_input(const BindArgs& args, std::size_t index) {
  return has_input(args, index) ? args.in[index] : TensorView{};
}

/// Throws ModelError unless all operands that are there are f32.
void require_f32(const BindArgs& args) {
  for (const auto& views : {args.in, args.out}) {
    for (const TensorView& view : views) {
      if (view) require_type(args, view, DataType::f32);
    }
  }
}

/// `otherwise` where the attribute is absent.
Window::Extents extents_of(std::span<const std::int64_t> given, std::int64_t otherwise) {
  Window::Extents extents{otherwise, otherwise};
  std::copy_n(given.begin(), std::min<std::size_t>(given.size(), 2), extents.begin());
  return extents;
}

Window window_of(const Attributes& attrs) {
  const auto pads = attrs.integers("pads");
  const auto half = pads.size() / 2;
  Window window;
  window.kernel = extents_of(attrs.integers("kernel"), 1);
  window.strides = extents_of(attrs.integers("strides"), 1);
  window.pads_begin = extents_of(pads.first(half), 0);
  window.pads_end = extents_of(pads.subspan(half), 0);
  window.dilations = extents_of(attrs.integers("dilations"), 1);
  return window;
}

ConvOptions conv_options(const BindArgs& args) {
  return {window_of(args.node.attrs), args.node.attrs.integer("group", 1)};
}

/// One spatial dim becomes the second of two.
void make_flat(Window::Extents& extents, std::int64_t outer) { extents = {outer, extents[0]}; }

PoolGeometry geometry_of(const BindArgs& args, const Shape& x, const Shape& y) {
  PoolGeometry geometry;
  geometry.window = window_of(args.node.attrs);
  geometry.planes = x[0] * x[1];
  geometry.count_include_pad = args.node.attrs.integer("count_include_pad") != 0;
  if (x.rank() == 4) {
    geometry.in = {x[2], x[3]};
    geometry.out = {y[2], y[3]};
    return geometry;
  }
  geometry.in = {1, x[2]};
  geometry.out = {1, y[2]};
  for (auto* extents : {&geometry.window.kernel, &geometry.window.strides, &geometry.window.dilations}) {
    make_flat(*extents, 1);
  }
  for (auto* extents : {&geometry.window.pads_begin, &geometry.window.pads_end}) make_flat(*extents, 0);
  return geometry;
}

PoolGeometry average_geometry(const BindArgs& args, const Shape& x, const Shape& y) {
  for (const std::int64_t dilation : args.node.attrs.integers("dilations")) {
    if (dilation != 1) throw std::invalid_argument("[average_pool] dilation " + std::to_string(dilation));
  }
  return geometry_of(args, x, y);
}

BatchNormExtents batch_norm_extents(const Shape& x) { return {x[0], x[1], x.product(2, x.rank())}; }

}  // namespace

Kernel bind_matmul(const BindArgs& args) {
  require_f32(args);
  const Attributes& attrs = args.node.attrs;
  const MatMulOptions options{.trans_a = attrs.integer("trans_a") != 0,
                              .trans_b = attrs.integer("trans_b") != 0,
                              .accumulate = attrs.integer("accumulate") != 0,
                              .alpha = static_cast<float>(attrs.real("alpha", 1))};
  return cpu::prepare_matmul(args.out[0], args.in[0], args.in[1], optional_input(args, 2), options);
}

Kernel bind_conv(const BindArgs& args) {
  require_f32(args);
  return cpu::prepare_conv(args.out[0], args.in[0], args.in[1], optional_input(args, 2), conv_options(args));
}

Kernel bind_conv_input_grad(const BindArgs& args) {
  require_f32(args);
  return cpu::prepare_conv_input_grad(args.out[0], args.in[0], args.in[1], conv_options(args));
}

Kernel bind_conv_weight_grad(const BindArgs& args) {
  require_f32(args);
  return cpu::prepare_conv_weight_grad(args.out[0], args.in[0], args.in[1], conv_options(args));
}

Kernel bind_max_pool(const BindArgs& args) {
  require_type(args, args.out[1], DataType::i32);
  return [geometry = geometry_of(args, args.in[0].shape, args.out[0].shape), y = f32_out(args, 0),
          where = args.out[1].as<std::int32_t>(), x = f32_in(args, 0)] { cpu::max_pool(y, where, x, geometry); };
}

Kernel bind_max_pool_grad(const BindArgs& args) {
  require_type(args, args.in[1], DataType::i32);
  return [geometry = geometry_of(args, args.out[0].shape, args.in[0].shape), dx = f32_out(args, 0),
          dy = f32_in(args, 0), where = args.in[1].as<std::int32_t>()] { cpu::max_pool_grad(dx, dy, where, geometry); };
}

Kernel bind_average_pool(const BindArgs& args) {
  return [geometry = average_geometry(args, args.in[0].shape, args.out[0].shape), y = f32_out(args, 0),
          x = f32_in(args, 0)] { cpu::average_pool(y, x, geometry); };
}

Kernel bind_average_pool_grad(const BindArgs& args) {
  return [geometry = average_geometry(args, args.out[0].shape, args.in[0].shape), dx = f32_out(args, 0),
          dy = f32_in(args, 0)] { cpu::average_pool_grad(dx, dy, geometry); };
}

Kernel bind_batch_norm(const BindArgs& args) {
  const cpu::BatchNormStatistics statistics{.saved_mean = f32_out(args, 1),
                                            .saved_rstd = f32_out(args, 2),
                                            .next_mean = f32_out(args, 3),
                                            .next_var = f32_out(args, 4),
                                            .mean = f32_in(args, 3),
                                            .var = f32_in(args, 4)};
  return [statistics, y = f32_out(args, 0), x = f32_in(args, 0), scale = f32_in(args, 1), bias = f32_in(args, 2),
          extents = batch_norm_extents(args.in[0].shape),
          epsilon = static_cast<float>(args.node.attrs.real("epsilon", 1e-5)),
          momentum = static_cast<float>(args.node.attrs.real("momentum", 0.9)), context = &args.context] {
    if (context->state->trains) {
      cpu::batch_norm(y, statistics, x, scale, bias, extents, epsilon, momentum);
      return;
    }
    cpu::batch_norm_inference(y, x, scale, bias, statistics.mean, statistics.var, extents, epsilon);
    if (statistics.next_mean == statistics.mean) return;
    std::copy_n(statistics.mean, extents.channels, statistics.next_mean);
    std::copy_n(statistics.var, extents.channels, statistics.next_var);
  };
}

Kernel bind_batch_norm_grad(const BindArgs& args) {
  return [dx = f32_out(args, 0), dscale = f32_out(args, 1), dbias = f32_out(args, 2), dy = f32_in(args, 0),
          x = f32_in(args, 1), scale = f32_in(args, 2), mean = f32_in(args, 3), rstd = f32_in(args, 4),
          extents = batch_norm_extents(args.in[1].shape)] {
    cpu::batch_norm_grad(dx, dscale, dbias, dy, x, scale, mean, rstd, extents);
  };
}

}  // namespace dml
