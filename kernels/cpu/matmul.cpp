// Matrix products by oneDNN: its matmul primitive in general, its sgemm where that was measured to be faster.
// M rows of y, N columns of y, K products per element.
#include "kernels/matmul.h"

#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <stdexcept>
#include <utility>

#include "kernels/cpu/dnnl_program.h"

namespace dml::cpu {
namespace {

using dnnl::memory;

/// Below this, waking a second thread costs more than the product (measured: 5 to 40 us against 10 us).
constexpr double kSingleThreadFlops = 2e6;

struct Problem {
  memory::dims a_leading, b_leading, y_leading;  // equal ranks; 1 where broadcast
  std::int64_t m = 0, n = 0, k = 0;

  bool is_single() const { return y_leading.empty(); }
  std::int64_t num_elements() const {
    std::int64_t result = m * n;
    for (const std::int64_t extent : y_leading) result *= extent;
    return result;
  }
  double flops() const { return 2.0 * static_cast<double>(num_elements()) * static_cast<double>(k); }
};

/// Extent of a leading dim, counted from the last one, of an operand that is broadcast to more dims.
std::int64_t leading_extent(const Shape& shape, int from_last) {
  const int dim = shape.rank() - 3 - from_last;
  return dim < 0 ? 1 : shape[dim];
}

// Leading dims of extent 1 go, and neighbours that both operands walk alike become one.
void collapse_leading(Problem& problem, const Shape& y, const Shape& a, const Shape& b) {
  for (int from_last = y.rank() - 3; from_last >= 0; --from_last) {
    const std::int64_t extent = leading_extent(y, from_last);
    const std::int64_t in_a = leading_extent(a, from_last);
    const std::int64_t in_b = leading_extent(b, from_last);
    if (extent == 1) continue;
    const bool merges = !problem.y_leading.empty() && (problem.a_leading.back() == 1) == (in_a == 1) &&
                        (problem.b_leading.back() == 1) == (in_b == 1);
    if (merges) {
      problem.a_leading.back() *= in_a;
      problem.b_leading.back() *= in_b;
      problem.y_leading.back() *= extent;
    } else {
      problem.a_leading.push_back(in_a);
      problem.b_leading.push_back(in_b);
      problem.y_leading.push_back(extent);
    }
  }
}

// Many matrices a against one b are one matrix of all their rows.
void fold_rows(Problem& problem, bool trans_a) {
  if (trans_a || problem.y_leading.size() != 1 || problem.b_leading[0] != 1) return;
  problem.m *= problem.y_leading[0];
  problem.a_leading.clear();
  problem.b_leading.clear();
  problem.y_leading.clear();
}

[[noreturn]] void fail(const TensorView& y, const TensorView& a, const TensorView& b, const TensorView& bias,
                       const std::string& what) {
  throw std::invalid_argument("[matmul] " + what + ": y is " + y.shape.to_string() + ", a is " + a.shape.to_string() +
                              ", b is " + b.shape.to_string() + (bias ? ", bias is " + bias.shape.to_string() : ""));
}

Problem problem_of(const TensorView& y, const TensorView& a, const TensorView& b, const TensorView& bias,
                   const MatMulOptions& options) {
  if (a.shape.rank() < 2 || b.shape.rank() < 2) fail(y, a, b, bias, "rank below 2");
  const auto [a_rank, b_rank] = std::pair(a.shape.rank(), b.shape.rank());
  Problem problem;
  problem.m = a.shape[a_rank - (options.trans_a ? 1 : 2)];
  problem.k = a.shape[a_rank - (options.trans_a ? 2 : 1)];
  problem.n = b.shape[b_rank - (options.trans_b ? 2 : 1)];
  if (problem.k != b.shape[b_rank - (options.trans_b ? 1 : 2)]) fail(y, a, b, bias, "K differs");
  Shape wanted = broadcast(Shape(std::span(a.shape.begin(), a.shape.end() - 2)),
                           Shape(std::span(b.shape.begin(), b.shape.end() - 2)));
  wanted.push_back(problem.m);
  wanted.push_back(problem.n);
  if (y.shape != wanted) fail(y, a, b, bias, "y does not fit");
  if (bias && bias.shape != Shape{problem.n}) fail(y, a, b, bias, "bias does not fit");
  for (const TensorView* view : {&y, &a, &b, &bias}) {
    if (*view && view->dtype != DataType::f32) fail(y, a, b, bias, std::string(name_of(view->dtype)) + " operand");
  }
  collapse_leading(problem, y.shape, a.shape, b.shape);
  fold_rows(problem, options.trans_a);
  return problem;
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

std::shared_ptr<DnnlProgram> make_program(const Problem& problem, const TensorView& y, const TensorView& a,
                                          const TensorView& b, const TensorView& bias, const MatMulOptions& options) {
  const SingleThread small(problem.flops() < kSingleThreadFlops);
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
bool prefers_sgemm(const Problem& problem) { return problem.m % 1024 != 0 || problem.n >= problem.m; }

std::function<void()> prepare_sgemm(const Problem& problem, float* y, const float* a, const float* b,
                                    const MatMulOptions& options) {
  return [=, m = problem.m, n = problem.n, k = problem.k] {
    DML_DNNL_CHECK(dnnl_sgemm('T', options.trans_b ? 'T' : 'N', m, n, k, options.alpha, a, m, b,
                              options.trans_b ? k : n, options.accumulate ? 1.0F : 0.0F, y, n));
  };
}

}  // namespace

std::function<void()> prepare_matmul(TensorView y, TensorView a, TensorView b, TensorView bias,
                                     const MatMulOptions& options) {
  const Problem problem = problem_of(y, a, b, bias, options);
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
    fail(y, a, b, bias, error.what());
  }
}

}  // namespace dml::cpu
