#include "kernels/matmul.h"

#include <span>
#include <stdexcept>
#include <string>

namespace dml {
namespace {

/// Extent of a leading dim, counted from the last one, of an operand that is broadcast to more dims.
std::int64_t leading_extent(const Shape& shape, int from_last) {
  const int dim = shape.rank() - 3 - from_last;
  return dim < 0 ? 1 : shape[dim];
}

// Leading dims of extent 1 go, and neighbours that both operands walk alike become one.
void collapse_leading(MatMulProblem& problem, const Shape& y, const Shape& a, const Shape& b) {
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
void fold_rows(MatMulProblem& problem, bool trans_a) {
  if (trans_a || problem.y_leading.size() != 1 || problem.b_leading[0] != 1) return;
  problem.m *= problem.y_leading[0];
  problem.a_leading.clear();
  problem.b_leading.clear();
  problem.y_leading.clear();
}

}  // namespace

std::int64_t MatMulProblem::num_elements() const {
  std::int64_t result = m * n;
  for (const std::int64_t extent : y_leading) result *= extent;
  return result;
}

void check_linear(const TensorView& view, const Shape& shape, const char* what) {
  if (view.shape == shape) return;
  throw std::invalid_argument("[linear] " + std::string(what) + " is " + view.shape.to_string() + ", wants " +
                              shape.to_string());
}

void fail_matmul(const TensorView& y, const TensorView& a, const TensorView& b, const TensorView& bias,
                 const std::string& what) {
  throw std::invalid_argument("[matmul] " + what + ": y is " + y.shape.to_string() + ", a is " + a.shape.to_string() +
                              ", b is " + b.shape.to_string() + (bias ? ", bias is " + bias.shape.to_string() : ""));
}

MatMulProblem plan_matmul(const TensorView& y, const TensorView& a, const TensorView& b, const TensorView& bias,
                          const MatMulOptions& options) {
  const int a_rank = a.shape.rank();
  const int b_rank = b.shape.rank();
  if (a_rank < 2 || b_rank < 2) fail_matmul(y, a, b, bias, "rank below 2");
  MatMulProblem problem;
  problem.m = a.shape[a_rank - (options.trans_a ? 1 : 2)];
  problem.k = a.shape[a_rank - (options.trans_a ? 2 : 1)];
  problem.n = b.shape[b_rank - (options.trans_b ? 2 : 1)];
  if (problem.k != b.shape[b_rank - (options.trans_b ? 1 : 2)]) fail_matmul(y, a, b, bias, "K differs");
  Shape wanted = broadcast(Shape(std::span(a.shape.begin(), a.shape.end() - 2)),
                           Shape(std::span(b.shape.begin(), b.shape.end() - 2)));
  wanted.push_back(problem.m);
  wanted.push_back(problem.n);
  if (y.shape != wanted) fail_matmul(y, a, b, bias, "y does not fit");
  if (bias && bias.shape != Shape{problem.n}) fail_matmul(y, a, b, bias, "bias does not fit");
  collapse_leading(problem, y.shape, a.shape, b.shape);
  fold_rows(problem, options.trans_a);
  return problem;
}

}  // namespace dml
