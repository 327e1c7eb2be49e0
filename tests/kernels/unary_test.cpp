#include "kernels/unary.h"

#include <bit>
#include <limits>

#include "tests/kernels/isa_fixture.h"

namespace dml {
namespace {

using testing::expect_close;
using testing::Guarded;
using testing::normal;
using testing::on_any_threads;

class Unary : public testing::IsaTest {};

using Function = double (*)(double);

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double gelu(double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }
double gelu_tanh(double x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }

struct UnaryCase {
  UnaryOp op;
  Function reference;
  float low, high;    ///< the range that is swept
  double ulps, atol;  ///< allowed
};

/// Distance in units of the last place of the reference, rounded to float.
double ulps_between(float found, double wanted) {
  const float nearest = static_cast<float>(wanted);
  const float next = std::nextafter(std::abs(nearest), std::numeric_limits<float>::infinity());
  const double unit = static_cast<double>(next) - static_cast<double>(std::abs(nearest));
  return std::abs(static_cast<double>(found) - wanted) / unit;
}

TEST_P(Unary, StaysWithinUnitsInTheLastPlace) {
  const std::vector<UnaryCase> cases = {
      {UnaryOp::exp, std::exp, -87.0f, 88.0f, 1.5, 0},
      {UnaryOp::exp, std::exp, -1.0f, 1.0f, 1.5, 0},
      {UnaryOp::log, std::log, 1e-38f, 1e30f, 1.5, 0},
      {UnaryOp::log, std::log, 0.4f, 2.5f, 1.5, 0},
      {UnaryOp::tanh, std::tanh, -10.0f, 10.0f, 2.0, 0},
      {UnaryOp::tanh, std::tanh, -0.7f, 0.7f, 2.0, 0},
      {UnaryOp::erf, std::erf, -5.0f, 5.0f, 2.0, 0},
      {UnaryOp::erf, std::erf, -1.0f, 1.0f, 2.0, 0},
      {UnaryOp::sigmoid, sigmoid, -80.0f, 80.0f, 3.0, 0},
      {UnaryOp::gelu, gelu, -6.0f, 10.0f, 4.0, 4e-7},
      {UnaryOp::gelu_tanh, gelu_tanh, -6.0f, 10.0f, 4.0, 4e-7},
  };
  constexpr std::int64_t kSteps = 200003;
  for (const UnaryCase& c : cases) {
    Guarded<float> x(kSteps), y(kSteps);
    for (std::int64_t i = 0; i < kSteps; ++i) {
      x[i] = c.low + (c.high - c.low) * static_cast<float>(i) / static_cast<float>(kSteps - 1);
    }
    cpu::unary(c.op, y.data(), x.data(), kSteps);
    for (std::int64_t i = 0; i < kSteps; ++i) {
      const double wanted = c.reference(static_cast<double>(x[i]));
      if (std::abs(static_cast<double>(y[i]) - wanted) <= c.atol) continue;
      ASSERT_LE(ulps_between(y[i], wanted), c.ulps)
          << "operation " << static_cast<int>(c.op) << " of " << x[i] << " gives " << y[i] << " for " << wanted;
    }
    EXPECT_TRUE(y.intact());
  }
}

TEST_P(Unary, SmallLogarithmsAndArguments) {
  Guarded<float> x(4), y(4);
  x[0] = 1e-40f;  // subnormal
  x[1] = 1.0f;
  x[2] = 3e38f;
  x[3] = 1e-45f;
  cpu::unary(UnaryOp::log, y.data(), x.data(), 4);
  for (std::int64_t i = 0; i < 4; ++i) EXPECT_NEAR(y[i], std::log(x[i]), 1e-5f) << x[i];
  x[0] = 1e-30f;
  for (const UnaryOp op : {UnaryOp::tanh, UnaryOp::erf}) {
    cpu::unary(op, y.data(), x.data(), 1);
    EXPECT_NEAR(y[0], op == UnaryOp::tanh ? 1e-30f : 1.1283792e-30f, 1e-36f);
  }
}

TEST_P(Unary, InfinitiesAndNaNsAreThoseOfTheLibrary) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<std::pair<UnaryOp, Function>> functions = {{UnaryOp::exp, std::exp},
                                                               {UnaryOp::log, std::log},
                                                               {UnaryOp::tanh, std::tanh},
                                                               {UnaryOp::erf, std::erf},
                                                               {UnaryOp::sigmoid, sigmoid}};
  const std::vector<float> inputs = {inf, -inf, nan, 0.0f, -1.0f, 100.0f, -200.0f};
  for (const auto& [op, reference] : functions) {
    Guarded<float> x(static_cast<std::int64_t>(inputs.size())), y(static_cast<std::int64_t>(inputs.size()));
    std::copy(inputs.begin(), inputs.end(), x.begin());
    cpu::unary(op, y.data(), x.data(), x.size());
    for (std::int64_t i = 0; i < x.size(); ++i) {
      const float wanted = static_cast<float>(reference(static_cast<double>(x[i])));
      if (std::isnan(wanted)) {
        EXPECT_TRUE(std::isnan(y[i])) << static_cast<int>(op) << " of " << x[i] << " gives " << y[i];
      } else if (std::isinf(wanted) || wanted == 0.0f) {
        EXPECT_EQ(y[i], wanted) << static_cast<int>(op) << " of " << x[i];
      } else {
        EXPECT_NEAR(y[i], wanted, 1e-6f * std::abs(wanted)) << static_cast<int>(op) << " of " << x[i];
      }
    }
  }
}

TEST_P(Unary, PlainFunctionsAreExact) {
  for (const std::int64_t n : {0, 1, 3, 15, 16, 17, 1001, 40007}) {
    const auto x = normal(n, 9);
    const std::vector<std::pair<UnaryOp, float (*)(float)>> functions = {
        {UnaryOp::relu, [](float u) { return u < 0 ? 0 : u; }},
        {UnaryOp::neg, [](float u) { return -u; }},
        {UnaryOp::abs, [](float u) { return std::abs(u); }},
        {UnaryOp::reciprocal, [](float u) { return 1 / u; }},
    };
    for (const auto& [op, reference] : functions) {
      Guarded<float> y(n);
      cpu::unary(op, y.data(), x.data(), n);
      for (std::int64_t i = 0; i < n; ++i) ASSERT_EQ(y[i], reference(x[i])) << n << " " << i;
      EXPECT_TRUE(y.intact());
    }
    Guarded<float> y(n);
    cpu::clip(y.data(), x.data(), n, -0.5f, 0.7f);
    for (std::int64_t i = 0; i < n; ++i) ASSERT_EQ(y[i], std::min(std::max(x[i], -0.5f), 0.7f));
    EXPECT_TRUE(y.intact());
  }
}

/// (f(x+h) - f(x-h)) / 2h
double slope(Function f, double x) { return (f(x + 1e-5) - f(x - 1e-5)) / 2e-5; }

TEST_P(Unary, GradientsEqualFiniteDifferences) {
  constexpr std::int64_t n = 40011;
  const auto x = normal(n, 10, 2.0f);
  const auto dy = normal(n, 11);
  const auto check = [&](const auto& compute, Function f, const char* what) {
    const auto dx = on_any_threads<float>(
        [&] {
          Guarded<float> out(n);
          compute(out.data());
          return out;
        },
        what);
    std::vector<double> wanted;
    for (std::int64_t i = 0; i < n; ++i) {
      wanted.push_back(static_cast<double>(dy[i]) * slope(f, static_cast<double>(x[i])));
    }
    expect_close(dx, wanted, 2e-6, 1e-5, what);  // the differences are good to 1e-9 / 1e-5
  };
  check([&](float* dx) { cpu::unary_grad(InputGradOp::gelu, dx, dy.data(), x.data(), n); }, gelu, "gelu");
  check([&](float* dx) { cpu::unary_grad(InputGradOp::gelu_tanh, dx, dy.data(), x.data(), n); }, gelu_tanh,
        "gelu_tanh");
  Guarded<float> y(n);
  cpu::unary(UnaryOp::tanh, y.data(), x.data(), n);
  check([&](float* dx) { cpu::unary_grad(OutputGradOp::tanh, dx, dy.data(), y.data(), n); }, std::tanh, "tanh");
  cpu::unary(UnaryOp::sigmoid, y.data(), x.data(), n);
  check([&](float* dx) { cpu::unary_grad(OutputGradOp::sigmoid, dx, dy.data(), y.data(), n); }, sigmoid, "sigmoid");
}

TEST_P(Unary, GradientsOfReluAndClipPassOrStop) {
  const float dy[5] = {1, 2, 3, 4, 5};
  const float x[5] = {-1, 0, 0.5f, 1, 2};
  float dx[5];
  cpu::unary_grad(OutputGradOp::relu, dx, dy, x, 5);
  EXPECT_EQ(std::vector<float>(dx, dx + 5), (std::vector<float>{0, 0, 3, 4, 5}));
  cpu::clip_grad(dx, dy, x, 5, 0.0f, 1.0f);
  EXPECT_EQ(std::vector<float>(dx, dx + 5), (std::vector<float>{0, 2, 3, 4, 0}));
}

DML_INSTANTIATE_ISA(Unary);

}  // namespace
}  // namespace dml
