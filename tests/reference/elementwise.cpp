// Operations of one element per operand, and their gradients.
#include <cmath>
#include <limits>
#include <numbers>

#include "tests/reference/rules.h"

namespace dml::reference {
namespace {

/// The rule that applies a function without state to each element.
template <typename F>
Rule unary(F) {
  return [](const Call& call) {
    for_each(call.out[0].shape, [&](const Index& i) { at(call.out[0], i) = F{}(at(call.in[0], i)); });
  };
}

template <typename F>
Rule binary(F) {
  return [](const Call& call) {
    for_each(call.out[0].shape,
             [&](const Index& i) { at(call.out[0], i) = F{}(at(call.in[0], i), at(call.in[1], i)); });
  };
}

double normal_density(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi); }
double normal_distribution(double x) { return 0.5 * (1 + std::erf(x / std::numbers::sqrt2)); }

// Hendrycks and Gimpel, 2016: x/2 (1 + tanh(u)), u = sqrt(2/pi) (x + 0.044715 x^3)
double tanh_argument(double x) { return std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x); }
double tanh_argument_slope(double x) { return std::sqrt(2 / std::numbers::pi) * (1 + 3 * 0.044715 * x * x); }

bool is_by_tanh(const Call& call) { return call.attrs().text("approximate") == "tanh"; }

void gelu_rule(const Call& call) {
  for_each(call.out[0].shape, [&](const Index& i) { at(call.out[0], i) = gelu(at(call.in[0], i), is_by_tanh(call)); });
}

void gelu_grad(const Call& call) {
  for_each(call.out[0].shape, [&](const Index& i) {
    at(call.out[0], i) = at(call.in[0], i) * gelu_slope(at(call.in[1], i), is_by_tanh(call));
  });
}

// The bounds as the kernels see them: floats.
double low_of(const Call& call) {
  return static_cast<float>(call.attrs().real("min", -std::numeric_limits<double>::infinity()));
}
double high_of(const Call& call) {
  return static_cast<float>(call.attrs().real("max", std::numeric_limits<double>::infinity()));
}

void clip(const Call& call) {
  for_each(call.out[0].shape, [&](const Index& i) {
    at(call.out[0], i) = std::fmin(std::fmax(at(call.in[0], i), low_of(call)), high_of(call));
  });
}

void clip_grad(const Call& call) {
  for_each(call.out[0].shape, [&](const Index& i) {
    const double x = at(call.in[1], i);
    at(call.out[0], i) = x >= low_of(call) && x <= high_of(call) ? at(call.in[0], i) : 0;
  });
}

void divide(const Call& call) {
  const bool truncates = !is_float(call.type_of_output());
  for_each(call.out[0].shape, [&](const Index& i) {
    const double ratio = at(call.in[0], i) / at(call.in[1], i);
    at(call.out[0], i) = truncates ? std::trunc(ratio) : ratio;
  });
}

void where(const Call& call) {
  for_each(call.out[0].shape, [&](const Index& i) {
    at(call.out[0], i) = at(call.in[0], i) != 0 ? at(call.in[1], i) : at(call.in[2], i);
  });
}

void cast(const Call& call) {
  const DataType to = call.type_of_output();
  for (std::size_t i = 0; i < call.out[0].elements.size(); ++i) {
    const double x = call.in[0].elements[i];
    call.out[0].elements[i] = to == DataType::boolean ? (x != 0 ? 1 : 0) : is_float(to) ? x : std::trunc(x);
  }
}

void add_unary(Rules& rules) {
  rules["Relu"] = unary([](double x) { return x > 0 ? x : 0; });
  rules["Sigmoid"] = unary([](double x) { return 1 / (1 + std::exp(-x)); });
  rules["Tanh"] = unary([](double x) { return std::tanh(x); });
  rules["Erf"] = unary([](double x) { return std::erf(x); });
  rules["Exp"] = unary([](double x) { return std::exp(x); });
  rules["Log"] = unary([](double x) { return std::log(x); });
  rules["Sqrt"] = unary([](double x) { return std::sqrt(x); });
  rules["Neg"] = unary([](double x) { return -x; });
  rules["Reciprocal"] = unary([](double x) { return 1 / x; });
  rules["Abs"] = unary([](double x) { return std::abs(x); });
  rules["Not"] = unary([](double x) { return x != 0 ? 0.0 : 1.0; });
  rules["Gelu"] = gelu_rule;
  rules["Clip"] = clip;
  rules["Cast"] = cast;
  rules["ReluGrad"] = binary([](double dy, double y) { return y > 0 ? dy : 0; });
  rules["SigmoidGrad"] = binary([](double dy, double y) { return dy * y * (1 - y); });
  rules["TanhGrad"] = binary([](double dy, double y) { return dy * (1 - y * y); });
  rules["GeluGrad"] = gelu_grad;
  rules["ClipGrad"] = clip_grad;
}

}  // namespace

double gelu(double x, bool by_tanh) {
  return by_tanh ? x / 2 * (1 + std::tanh(tanh_argument(x))) : x * normal_distribution(x);
}

double gelu_slope(double x, bool by_tanh) {
  if (!by_tanh) return normal_distribution(x) + x * normal_density(x);
  const double t = std::tanh(tanh_argument(x));
  return (1 + t) / 2 + x / 2 * (1 - t * t) * tanh_argument_slope(x);
}

void add_elementwise(Rules& rules) {
  add_unary(rules);
  rules["Add"] = binary([](double a, double b) { return a + b; });
  rules["Sub"] = binary([](double a, double b) { return a - b; });
  rules["Mul"] = binary([](double a, double b) { return a * b; });
  rules["Div"] = divide;
  rules["Pow"] = binary([](double a, double b) { return std::pow(a, b); });
  rules["Equal"] = binary([](double a, double b) { return a == b ? 1.0 : 0.0; });
  rules["Less"] = binary([](double a, double b) { return a < b ? 1.0 : 0.0; });
  rules["LessOrEqual"] = binary([](double a, double b) { return a <= b ? 1.0 : 0.0; });
  rules["Greater"] = binary([](double a, double b) { return a > b ? 1.0 : 0.0; });
  rules["GreaterOrEqual"] = binary([](double a, double b) { return a >= b ? 1.0 : 0.0; });
  rules["And"] = binary([](double a, double b) { return a != 0 && b != 0 ? 1.0 : 0.0; });
  rules["Or"] = binary([](double a, double b) { return a != 0 || b != 0 ? 1.0 : 0.0; });
  rules["Where"] = where;
}

}  // namespace dml::reference
