// Matrix products by oneDNN: its matmul primitive in general, its sgemm where that was measured to be faster.
// M rows of y, N columns of y, K products per element.
#include "kernels/matmul.h"

#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>

#include "kernels/cpu/dnnl_program.h"
#include "kernels/reduce.h"
#include "kernels/unary.h"

namespace dml::cpu {
namespace {

using dnnl::memory;

/// Below this, waking a second thread costs more than the product (measured: 5 to 40 us against 10 us).
constexpr double kSingleThreadFlops = 2e6;

double flops_of(const MatMulProblem& problem) {
  return 2.0 * static_cast<double>(problem.num_elements()) * static_cast<double>(problem.k);
}

/// Dense [leading.., rows, columns], of matrices that are stored transposed if `transposed`.
memory::desc matrices(const memory::dims& leading, std::int64_t rows, std::int64_t columns, bool transposed) {
  memory::dims dims = leading;
  dims.insert(dims.end(), {rows, columns});
  memory::dims strides(dims.size());
  strides[dims.size() - 2] = transposed ? 1 : columns;
  strides[dims.size() - 1] = transposed ? rows : 1;
  std::int64_t stride = rows * columns;
  for (std::size_t dim = leading.size(); dim-- > 0;) {
    strides[dim] = stride;
    stride *= leading[dim];
  }
  return {dims, memory::data_type::f32, strides};
}

/// y = bias in each row (absent: 0), or y += bias.
void put_bias(float* y, const float* bias, std::int64_t rows, std::int64_t columns, bool accumulate) {
  for (std::int64_t row = 0; row < rows; ++row) {
    float* const out = y + row * columns;
    for (std::int64_t column = 0; column < columns; ++column) {
      out[column] = (accumulate ? out[column] : 0.0F) + (bias != nullptr ? bias[column] : 0.0F);
    }
  }
}

std::shared_ptr<DnnlProgram> make_program(const MatMulProblem& problem, const TensorView& y, const TensorView& a,
                                          const TensorView& b, const TensorView& bias, const MatMulOptions& options) {
  const SingleThread small(flops_of(problem) < kSingleThreadFlops);
  auto program = std::make_shared<DnnlProgram>();
  const auto a_desc = matrices(problem.a_leading, problem.m, problem.k, options.trans_a);
  const auto b_desc = matrices(problem.b_leading, problem.k, problem.n, options.trans_b);
  const auto y_desc = matrices(problem.y_leading, problem.m, problem.n, false);
  const auto bias_desc =
      bias ? matrices(memory::dims(problem.y_leading.size(), 1), 1, problem.n, false) : memory::desc();
  const auto attributes = DnnlProgram::attributes(options.alpha, options.accumulate);
  const auto primitive_desc =
      bias ? describe<dnnl::matmul>(program->engine(), attributes, a_desc, b_desc, bias_desc, y_desc)
           : describe<dnnl::matmul>(program->engine(), attributes, a_desc, b_desc, y_desc);
  const dnnl::matmul primitive(primitive_desc);
  const auto a_memory = program->bound(a_desc, a.data);
  const auto b_memory = program->bound(b_desc, b.data);
  const auto y_memory = program->bound(y_desc, y.data);
  if (bias) {
    program->add(primitive_desc, primitive,
                 {{DNNL_ARG_SRC, a_memory},
                  {DNNL_ARG_WEIGHTS, b_memory},
                  {DNNL_ARG_BIAS, program->bound(bias_desc, bias.data)},
                  {DNNL_ARG_DST, y_memory}});
  } else {
    program->add(primitive_desc, primitive,
                 {{DNNL_ARG_SRC, a_memory}, {DNNL_ARG_WEIGHTS, b_memory}, {DNNL_ARG_DST, y_memory}});
  }
  return program;
}

/// Whether sgemm is the faster one for a transposed a, the weight gradient's form. Measured at K = 2048 on Zen 5 with
/// one and two threads: 2 to 15 % faster for M and N from 128 to 1536, but 5 to 14 % slower where rows of a are
/// multiples of 4 KiB apart and N is below M (M = 1024 and 2048, N = 256 and 512).
bool prefers_sgemm(const MatMulProblem& problem) { return problem.m % 1024 != 0 || problem.n >= problem.m; }

std::function<void()> prepare_sgemm(const MatMulProblem& problem, float* y, const float* a, const float* b,
                                    const MatMulOptions& options) {
  return [=, m = problem.m, n = problem.n, k = problem.k] {
    DML_DNNL_CHECK(dnnl_sgemm('T', options.trans_b ? 'T' : 'N', m, n, k, options.alpha, a, m, b,
                              options.trans_b ? k : n, options.accumulate ? 1.0F : 0.0F, y, n));
  };
}

}  // namespace

std::function<void()> prepare_matmul(TensorView y, TensorView a, TensorView b, TensorView bias,
                                     const MatMulOptions& options) {
  const MatMulProblem problem = plan_matmul(y, a, b, bias, options);
  for (const TensorView* view : {&y, &a, &b, &bias}) {
    if (*view && view->dtype != DataType::f32) {
      fail_matmul(y, a, b, bias, std::string(name_of(view->dtype)) + " operand");
    }
  }
  if (problem.num_elements() == 0) return [] {};
  const auto add_bias = [=, rows = problem.num_elements() / problem.n, columns = problem.n] {
    put_bias(y.f32(), bias.f32(), rows, columns, options.accumulate);
  };
  if (problem.k == 0) return add_bias;
  if (options.trans_a && problem.is_single() && !bias && prefers_sgemm(problem)) {
    return prepare_sgemm(problem, y.f32(), a.f32(), b.f32(), options);
  }
  try {
    if (bias && options.alpha != 1) {  // oneDNN would scale the bias too
      MatMulOptions onto = options;
      onto.accumulate = true;
      return [add_bias, program = make_program(problem, y, a, b, TensorView{}, onto)] {
        add_bias();
        program->run();
      };
    }
    return [program = make_program(problem, y, a, b, bias, options)] { program->run(); };
  } catch (const dnnl::error& error) {
    fail_matmul(y, a, b, bias, error.what());
  }
}

std::function<void()> prepare_linear_param_grad(TensorView dw, TensorView dbias, TensorView x, TensorView dy,
                                                const MatMulOptions& options) {
  check_linear(dbias, {dy.shape.back()}, "dbias");
  const TensorView& a = options.trans_b ? dy : x;
  const TensorView& b = options.trans_b ? x : dy;
  return [product = prepare_matmul(dw, a, b, {}, {.trans_a = true, .accumulate = options.accumulate}),
          plan = plan_sum_to(dbias.shape, dy.shape), sums = dbias.f32(), rows = dy.f32()] {
    product();
    reduce_sum(sums, rows, plan, 1.0);
  };
}

std::function<void()> prepare_linear_gelu(TensorView y, TensorView pre, TensorView x, TensorView w, TensorView bias,
                                          const MatMulOptions& options) {
  check_linear(y, pre.shape, "y");
  return [product = prepare_matmul(pre, x, w, bias, {.trans_b = options.trans_b}), to = y.f32(), from = pre.f32(),
          n = y.num_elements()] {
    product();
    unary(UnaryOp::gelu_tanh, to, from, n);
  };
}

std::function<void()> prepare_linear_gelu_grad(TensorView dpre, TensorView dy, TensorView w, TensorView pre,
                                               const MatMulOptions& options) {
  check_linear(pre, dpre.shape, "pre");
  return [product = prepare_matmul(dpre, dy, w, {}, {.trans_b = options.trans_b}), gradient = dpre.f32(),
          at = pre.f32(), n = dpre.num_elements()] {
    product();
    unary_grad(InputGradOp::gelu_tanh, gradient, gradient, at, n);
  };
}

}  // namespace dml::cpu
