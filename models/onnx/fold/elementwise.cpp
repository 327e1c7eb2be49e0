// Folding of operations that work element by element, with NumPy's broadcasting, and of reductions.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/error.h"
#include "models/onnx/fold/fold.h"
#include "models/onnx/fold/shape_rules.h"

namespace dml {
namespace {

using Real = double (*)(double, double);
using Integer = std::int64_t (*)(std::int64_t, std::int64_t);

constexpr std::int64_t kLowest = std::numeric_limits<std::int64_t>::min();

std::int64_t checked(bool overflows, std::int64_t result) {
  if (overflows) throw std::invalid_argument("an integer overflows");
  return result;
}
std::int64_t add(std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  const bool overflows = __builtin_add_overflow(a, b, &result);
  return checked(overflows, result);
}
std::int64_t subtract(std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  const bool overflows = __builtin_sub_overflow(a, b, &result);
  return checked(overflows, result);
}
std::int64_t multiply(std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  const bool overflows = __builtin_mul_overflow(a, b, &result);
  return checked(overflows, result);
}
std::int64_t divide(std::int64_t a, std::int64_t b) {
  if (b == 0) throw std::invalid_argument("an integer is divided by 0");
  return checked(a == kLowest && b == -1, b == -1 ? -a : a / b);
}
std::int64_t power(std::int64_t a, std::int64_t b) {
  const double result = std::pow(static_cast<double>(a), static_cast<double>(b));
  return checked(!(std::abs(result) < 9e18), static_cast<std::int64_t>(std::abs(result) < 9e18 ? result : 0));
}
double maximum(double a, double b) { return std::isnan(a) || a > b ? a : b; }
double minimum(double a, double b) { return std::isnan(a) || a < b ? a : b; }

struct Arithmetic {
  std::string_view type;
  Real real;
  Integer integer;
};

constexpr Arithmetic kArithmetic[] = {
    {"Add", [](double a, double b) { return a + b; }, add},
    {"Sub", [](double a, double b) { return a - b; }, subtract},
    {"Mul", [](double a, double b) { return a * b; }, multiply},
    {"Div", [](double a, double b) { return a / b; }, divide},
    {"Pow", [](double a, double b) { return std::pow(a, b); }, power},
    {"Max", maximum, [](std::int64_t a, std::int64_t b) { return std::max(a, b); }},
    {"Min", minimum, [](std::int64_t a, std::int64_t b) { return std::min(a, b); }},
};

Literal combine(const Arithmetic& operation, const Literal& a, const Literal& b) {
  const Shape shape = broadcast(a.shape, b.shape);
  const BroadcastIndices at_a(a.shape, shape);
  const BroadcastIndices at_b(b.shape, shape);
  if (a.is_real()) {
    std::vector<double> result(at_a.size());
    for (std::size_t i = 0; i < result.size(); ++i) {
      result[i] = operation.real(a.real_at(at_a[i]), b.real_at(at_b[i]));
    }
    return make_literal(shape, std::move(result), a.dtype);
  }
  if (b.is_real()) throw std::invalid_argument("integers and floats are mixed");
  std::vector<std::int64_t> result(at_a.size());
  for (std::size_t i = 0; i < result.size(); ++i) {
    result[i] = operation.integer(a.integers[at_a[i]], b.integers[at_b[i]]);
  }
  return make_literal(shape, std::move(result), a.dtype);
}

bool compare(std::string_view type, auto a, auto b) {
  if (type == "Equal") return a == b;
  if (type == "Less") return a < b;
  if (type == "LessOrEqual") return a <= b;
  if (type == "Greater") return a > b;
  return a >= b;
}

double unary(std::string_view type, double x) {
  if (type == "Neg") return -x;
  if (type == "Abs") return std::abs(x);
  if (type == "Sqrt") return std::sqrt(x);
  if (type == "Exp") return std::exp(x);
  if (type == "Log") return std::log(x);
  if (type == "Reciprocal") return 1 / x;
  if (type == "Erf") return std::erf(x);
  if (type == "Tanh") return std::tanh(x);
  if (type == "Sigmoid") return 1 / (1 + std::exp(-x));
  DML_ASSERT(type == "Relu", std::string(type));
  return x > 0 ? x : 0;
}

std::int64_t unary(std::string_view type, std::int64_t x) {
  if (type == "Neg") return subtract(0, x);
  if (type == "Abs") return x < 0 ? subtract(0, x) : x;
  if (type == "Relu") return std::max<std::int64_t>(x, 0);
  throw std::invalid_argument("it has no integer form");
}

/// For each element of a reduced tensor (extents 1 kept), the flat indices of x that go into it.
std::vector<std::vector<std::size_t>> reduction_groups(const Shape& x, const Shape& kept) {
  const BroadcastIndices indices(kept, x);
  std::vector<std::vector<std::size_t>> groups(static_cast<std::size_t>(kept.num_elements()));
  for (std::size_t i = 0; i < indices.size(); ++i) {
    groups[indices[i]].push_back(i);
  }
  return groups;
}

const Arithmetic& reduction_step(const OnnxNode& node) {
  const std::string_view type = node.type();
  const std::string_view step = type == "ReduceMax"    ? "Max"
                                : type == "ReduceMin"  ? "Min"
                                : type == "ReduceProd" ? "Mul"
                                                       : "Add";
  return *std::find_if(std::begin(kArithmetic), std::end(kArithmetic), [&](const auto& a) { return a.type == step; });
}

double reduce_reals(const Folding& fold, const std::vector<std::size_t>& group) {
  const Literal& x = fold.input(0);
  const Arithmetic& step = reduction_step(fold.node);
  if (group.empty()) return step.type == "Mul" ? 1 : 0;
  double sum = x.real_at(group[0]);
  for (std::size_t i = 1; i < group.size(); ++i) sum = step.real(sum, x.real_at(group[i]));
  return fold.node.type() == "ReduceMean" ? sum / static_cast<double>(group.size()) : sum;
}

std::int64_t reduce_integers(const Folding& fold, const std::vector<std::size_t>& group) {
  const Literal& x = fold.input(0);
  const Arithmetic& step = reduction_step(fold.node);
  if (group.empty()) return step.type == "Mul" ? 1 : 0;
  std::int64_t sum = x.integers[group[0]];
  for (std::size_t i = 1; i < group.size(); ++i) {
    sum = step.integer(sum, x.integers[group[i]]);
  }
  return fold.node.type() == "ReduceMean" ? sum / static_cast<std::int64_t>(group.size()) : sum;
}

}  // namespace

std::vector<Literal> fold_unary(const Folding& fold) {
  Literal result = fold.input(0);
  for (double& x : result.reals) x = unary(fold.node.type(), x);
  for (std::int64_t& x : result.integers) x = unary(fold.node.type(), x);
  if (result.is_real()) return single_output(make_literal(result.shape, std::move(result.reals), result.dtype));
  return single_output(std::move(result));
}

std::vector<Literal> fold_arithmetic(const Folding& fold) {
  const std::string_view type = fold.node.type();
  const auto* operation =
      std::find_if(std::begin(kArithmetic), std::end(kArithmetic), [&](const auto& row) { return row.type == type; });
  DML_ASSERT(operation != std::end(kArithmetic), std::string(type));
  Literal result = fold.input(0);
  for (std::size_t i = 1; i < fold.inputs.size(); ++i) result = combine(*operation, result, fold.input(i));
  return single_output(std::move(result));
}

std::vector<Literal> fold_comparison(const Folding& fold) {
  const Literal& a = fold.input(0);
  const Literal& b = fold.input(1);
  const Shape shape = broadcast(a.shape, b.shape);
  const BroadcastIndices at_a(a.shape, shape);
  const BroadcastIndices at_b(b.shape, shape);
  std::vector<std::int64_t> result(at_a.size());
  for (std::size_t i = 0; i < result.size(); ++i) {
    const bool is_true = a.is_real() || b.is_real()
                             ? compare(fold.node.type(), a.real_at(at_a[i]), b.real_at(at_b[i]))
                             : compare(fold.node.type(), a.integers[at_a[i]], b.integers[at_b[i]]);
    result[i] = is_true ? 1 : 0;
  }
  return single_output(make_literal(shape, std::move(result), DataType::boolean));
}

std::vector<Literal> fold_logic(const Folding& fold) {
  const Literal& a = fold.input(0);
  if (fold.node.type() == "Not") {
    std::vector<std::int64_t> result(static_cast<std::size_t>(a.num_elements()));
    for (std::size_t i = 0; i < result.size(); ++i) result[i] = a.real_at(i) == 0 ? 1 : 0;
    return single_output(make_literal(a.shape, std::move(result), DataType::boolean));
  }
  const Literal& b = fold.input(1);
  const bool is_and = fold.node.type() == "And";
  const Shape shape = broadcast(a.shape, b.shape);
  const BroadcastIndices at_a(a.shape, shape);
  const BroadcastIndices at_b(b.shape, shape);
  std::vector<std::int64_t> result(at_a.size());
  for (std::size_t i = 0; i < result.size(); ++i) {
    const bool left = a.real_at(at_a[i]) != 0;
    const bool right = b.real_at(at_b[i]) != 0;
    result[i] = (is_and ? left && right : left || right) ? 1 : 0;
  }
  return single_output(make_literal(shape, std::move(result), DataType::boolean));
}

std::vector<Literal> fold_where(const Folding& fold) {
  const Literal& condition = fold.input(0);
  const Literal& a = fold.input(1);
  const Literal& b = fold.input(2);
  const Shape shape = broadcast(broadcast(condition.shape, a.shape), b.shape);
  const BroadcastIndices at_condition(condition.shape, shape);
  const BroadcastIndices at_a(a.shape, shape);
  const BroadcastIndices at_b(b.shape, shape);
  if (a.is_real() != b.is_real()) throw std::invalid_argument("integers and floats are mixed");
  Literal result{a.dtype, shape, {}, {}};
  result.reals.resize(a.is_real() ? at_a.size() : 0);
  result.integers.resize(a.is_real() ? 0 : at_a.size());
  for (std::size_t i = 0; i < at_a.size(); ++i) {
    const bool is_true = condition.real_at(at_condition[i]) != 0;
    const Literal& from = is_true ? a : b;
    const std::size_t at = is_true ? at_a[i] : at_b[i];
    if (a.is_real()) {
      result.reals[i] = from.reals[at];
    } else {
      result.integers[i] = from.integers[at];
    }
  }
  return single_output(std::move(result));
}

std::vector<Literal> fold_cast(const Folding& fold) {
  const Literal& x = fold.input(0);
  const DataType to = stored_type(static_cast<std::int32_t>(fold.node.integer("to", 0)), fold.node.name);
  const auto count = static_cast<std::size_t>(x.num_elements());
  if (is_float(to)) {
    std::vector<double> result(count);
    for (std::size_t i = 0; i < count; ++i) result[i] = x.real_at(i);
    return single_output(make_literal(x.shape, std::move(result), to == DataType::f64 ? DataType::f64 : DataType::f32));
  }
  std::vector<std::int64_t> result(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (!x.is_real()) {
      result[i] = x.integers[i];
    } else if (to == DataType::boolean) {
      result[i] = x.reals[i] != 0 ? 1 : 0;
    } else {
      if (!(std::abs(x.reals[i]) < 9.2e18)) throw std::invalid_argument("a float that is no integer of 64 bits");
      result[i] = static_cast<std::int64_t>(x.reals[i]);
    }
  }
  return single_output(make_literal(x.shape, std::move(result), computed_type(to)));
}

std::vector<Literal> fold_reduce(const Folding& fold) {
  const Literal& x = fold.input(0);
  const auto given = integers_of(fold, 1, "axes");
  if (given.empty() && fold.node.integer("noop_with_empty_axes", 0) != 0) return single_output(x);
  Shape kept = x.shape;
  for (const std::int64_t axis : normalize_axes(x.shape, given)) kept[static_cast<int>(axis)] = 1;
  const Shape shape =
      fold.node.integer("keepdims", 1) != 0 ? kept : squeeze_shape(kept, normalize_axes(x.shape, given));
  const auto groups = reduction_groups(x.shape, kept);
  if (x.is_real()) {
    std::vector<double> result;
    result.reserve(groups.size());
    for (const auto& group : groups) result.push_back(reduce_reals(fold, group));
    return single_output(make_literal(shape, std::move(result), x.dtype));
  }
  std::vector<std::int64_t> result;
  result.reserve(groups.size());
  for (const auto& group : groups) result.push_back(reduce_integers(fold, group));
  return single_output(make_literal(shape, std::move(result), x.dtype));
}

}  // namespace dml
