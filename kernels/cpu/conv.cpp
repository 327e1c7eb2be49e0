// Convolutions by oneDNN in the layouts that it likes best, with conversions from and to the plain ones inside. Against
// plain layouts on the layers of ResNet-18 at 32x32, batch 32: forward 0.85 to 1.9 times as fast, weight gradients 1.0
// to 6 times; input gradients 1.2 to 1.8 times on 3x3 layers of stride 1, but 0.4 to 0.8 times on the first layer and
// on 1x1 of stride 2, and 0.8 to 1.3 times on 3x3 of stride 2.
#include "kernels/conv.h"

#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <tuple>

#include "kernels/cpu/dnnl_program.h"

namespace dml::cpu {
namespace {

using dnnl::memory;

constexpr auto kAlgorithm = dnnl::algorithm::convolution_direct;

struct Problem {
  memory::dims x, w, y, bias;
  memory::dims strides, pads_begin, pads_end, dilations;
};

memory::dims dims_of(const Shape& shape) { return {shape.begin(), shape.end()}; }

memory::dims spatial(const Window::Extents& extents, const Shape& x) {
  return {extents.begin(), extents.begin() + (x.rank() - 2)};
}

Problem problem_of(const Shape& y, const Shape& x, const Shape& w, const ConvOptions& options) {
  check_conv(y, x, w, options);
  Problem problem;
  problem.x = dims_of(x);
  problem.y = dims_of(y);
  problem.w = dims_of(w);
  problem.bias = {w[0]};
  if (options.group > 1) {
    problem.w[0] /= options.group;
    problem.w.insert(problem.w.begin(), options.group);
  }
  problem.strides = spatial(options.window.strides, x);
  problem.pads_begin = spatial(options.window.pads_begin, x);
  problem.pads_end = spatial(options.window.pads_end, x);
  problem.dilations = spatial(options.window.dilations, x);
  for (memory::dim& dilation : problem.dilations) --dilation;  // oneDNN counts what is left out
  return problem;
}

memory::desc plain(const memory::dims& dims) {
  memory::dims strides(dims.size());
  memory::dim stride = 1;
  for (std::size_t dim = dims.size(); dim-- > 0;) {
    strides[dim] = stride;
    stride *= dims[dim];
  }
  return {dims, memory::data_type::f32, strides};
}

memory::desc any(const memory::dims& dims) { return {dims, memory::data_type::f32, memory::format_tag::any}; }

dnnl::convolution_forward::primitive_desc forward_desc(const Problem& problem, bool has_bias,
                                                       const dnnl::engine& engine) {
  const auto kind = dnnl::prop_kind::forward_training;
  const auto [x, w, y] = std::tuple(any(problem.x), any(problem.w), any(problem.y));
  const auto attributes = DnnlProgram::attributes();
  if (has_bias) {
    return describe<dnnl::convolution_forward>(engine, attributes, kind, kAlgorithm, x, w, plain(problem.bias), y,
                                               problem.strides, problem.dilations, problem.pads_begin,
                                               problem.pads_end);
  }
  return describe<dnnl::convolution_forward>(engine, attributes, kind, kAlgorithm, x, w, y, problem.strides,
                                             problem.dilations, problem.pads_begin, problem.pads_end);
}

/// Of the gradient of the input or of the weight.
template <typename Gradient>
typename Gradient::primitive_desc gradient_desc(const Problem& problem, const dnnl::engine& engine) {
  return describe_gradient<Gradient>(engine, DnnlProgram::attributes(), forward_desc(problem, false, engine),
                                     kAlgorithm, any(problem.x), any(problem.w), any(problem.y), problem.strides,
                                     problem.dilations, problem.pads_begin, problem.pads_end);
}

/// make(program, problem) appends the steps; oneDNN's refusals get the shapes as their text.
template <typename Make>
std::function<void()> prepare(const Shape& y, const Shape& x, const Shape& w, const ConvOptions& options,
                              const Make& make) {
  const Problem problem = problem_of(y, x, w, options);
  try {
    auto program = std::make_shared<DnnlProgram>();
    make(*program, problem);
    return [program] { program->run(); };
  } catch (const dnnl::error& error) {
    fail_conv(error.what(), y, x, w, options);
  }
}

/// A user's buffer with the layout that the primitive wants it in.
struct Operand {
  memory user, inner;
};

Operand operand(DnnlProgram& program, const memory::dims& dims, const TensorView& view, const memory::desc& wanted) {
  const memory user = program.bound(plain(dims), view.data);
  return {user, program.in_layout(user, wanted)};
}

}  // namespace

std::function<void()> prepare_conv(TensorView y, TensorView x, TensorView w, TensorView bias,
                                   const ConvOptions& options) {
  return prepare(y.shape, x.shape, w.shape, options, [&](DnnlProgram& program, const Problem& problem) {
    const auto desc = forward_desc(problem, static_cast<bool>(bias), program.engine());
    const Operand in = operand(program, problem.x, x, desc.src_desc());
    const Operand weights = operand(program, problem.w, w, desc.weights_desc());
    const Operand out = operand(program, problem.y, y, desc.dst_desc());
    program.add_reorder(in.user, in.inner);
    program.add_reorder(weights.user, weights.inner);
    const dnnl::convolution_forward primitive(desc);
    if (bias) {
      program.add(desc, primitive,
                  {{DNNL_ARG_SRC, in.inner},
                   {DNNL_ARG_WEIGHTS, weights.inner},
                   {DNNL_ARG_BIAS, program.bound(plain(problem.bias), bias.data)},
                   {DNNL_ARG_DST, out.inner}});
    } else {
      program.add(desc, primitive,
                  {{DNNL_ARG_SRC, in.inner}, {DNNL_ARG_WEIGHTS, weights.inner}, {DNNL_ARG_DST, out.inner}});
    }
    program.add_reorder(out.inner, out.user);
  });
}

std::function<void()> prepare_conv_input_grad(TensorView dx, TensorView dy, TensorView w, const ConvOptions& options) {
  return prepare(dy.shape, dx.shape, w.shape, options, [&](DnnlProgram& program, const Problem& problem) {
    const auto desc = gradient_desc<dnnl::convolution_backward_data>(problem, program.engine());
    const Operand grad = operand(program, problem.y, dy, desc.diff_dst_desc());
    const Operand weights = operand(program, problem.w, w, desc.weights_desc());
    const Operand out = operand(program, problem.x, dx, desc.diff_src_desc());
    program.add_reorder(grad.user, grad.inner);
    program.add_reorder(weights.user, weights.inner);
    program.add(desc, dnnl::convolution_backward_data(desc),
                {{DNNL_ARG_DIFF_DST, grad.inner}, {DNNL_ARG_WEIGHTS, weights.inner}, {DNNL_ARG_DIFF_SRC, out.inner}});
    program.add_reorder(out.inner, out.user);
  });
}

std::function<void()> prepare_conv_weight_grad(TensorView dw, TensorView dy, TensorView x, const ConvOptions& options) {
  // With more threads oneDNN divides the sum over the batch among them: the bits would depend on their number.
  const SingleThread alone(true);
  return prepare(dy.shape, x.shape, dw.shape, options, [&](DnnlProgram& program, const Problem& problem) {
    const auto desc = gradient_desc<dnnl::convolution_backward_weights>(problem, program.engine());
    const Operand grad = operand(program, problem.y, dy, desc.diff_dst_desc());
    const Operand in = operand(program, problem.x, x, desc.src_desc());
    const Operand out = operand(program, problem.w, dw, desc.diff_weights_desc());
    program.add_reorder(grad.user, grad.inner);
    program.add_reorder(in.user, in.inner);
    program.add(desc, dnnl::convolution_backward_weights(desc),
                {{DNNL_ARG_DIFF_DST, grad.inner}, {DNNL_ARG_SRC, in.inner}, {DNNL_ARG_DIFF_WEIGHTS, out.inner}});
    program.add_reorder(out.inner, out.user);
  });
}

}  // namespace dml::cpu
