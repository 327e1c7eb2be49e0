#include "kernels/softmax.h"

#include "tests/kernels/isa_fixture.h"

namespace dml {
namespace {

using testing::expect_close;
using testing::Guarded;
using testing::normal;
using testing::on_any_threads;

struct SoftmaxCase {
  std::int64_t outer, n, inner;
  std::string text() const { return std::to_string(outer) + "x" + std::to_string(n) + "x" + std::to_string(inner); }
};

const std::vector<SoftmaxCase> kSoftmaxCases = {{1, 1, 1}, {3, 7, 1},  {5, 33, 1},   {2, 1000, 1}, {300, 257, 1},
                                                {2, 5, 3}, {1, 4, 70}, {3, 17, 129}, {0, 5, 1},    {40, 30, 65}};

using Reference = std::vector<double>;

/// Each column [n] of a tensor [outer, n, inner] through `column`.
template <typename Column>
Reference by_columns(const SoftmaxCase& c, const Column& column) {
  Reference result(static_cast<std::size_t>(c.outer * c.n * c.inner));
  for (std::int64_t o = 0; o < c.outer; ++o) {
    for (std::int64_t i = 0; i < c.inner; ++i) {
      const auto at = [&](std::int64_t k) { return static_cast<std::size_t>((o * c.n + k) * c.inner + i); };
      column(result, at);
    }
  }
  return result;
}

Reference log_softmax_of(const SoftmaxCase& c, const Guarded<float>& x) {
  return by_columns(c, [&](Reference& y, const auto& at) {
    const auto value = [&](std::int64_t k) { return static_cast<double>(x[static_cast<std::int64_t>(at(k))]); };
    double maximum = value(0);
    for (std::int64_t k = 0; k < c.n; ++k) maximum = std::max(maximum, value(k));
    double sum = 0;
    for (std::int64_t k = 0; k < c.n; ++k) sum += std::exp(value(k) - maximum);
    for (std::int64_t k = 0; k < c.n; ++k) y[at(k)] = value(k) - maximum - std::log(sum);
  });
}

class Softmax : public testing::IsaTest {};

TEST_P(Softmax, EqualsTheReference) {
  for (const SoftmaxCase& c : kSoftmaxCases) {
    const auto x = normal(c.outer * c.n * c.inner, 1, 4.0f);
    const Reference logs = log_softmax_of(c, x);
    Reference exps;
    for (const double value : logs) exps.push_back(std::exp(value));
    const auto run = [&](const auto& kernel, const char* what) {
      return on_any_threads<float>(
          [&] {
            Guarded<float> y(x.size());
            kernel(y.data(), x.data(), c.outer, c.n, c.inner);
            return y;
          },
          what + c.text());
    };
    expect_close(run(cpu::softmax, "softmax "), exps, 1e-30, 2e-6, "softmax " + c.text());  // x - max is rounded
    expect_close(run(cpu::log_softmax, "log_softmax "), logs, 1e-6, 5e-7, "log_softmax " + c.text());
  }
}

TEST_P(Softmax, GradientsEqualTheReference) {
  for (const SoftmaxCase& c : kSoftmaxCases) {
    const auto x = normal(c.outer * c.n * c.inner, 2, 2.0f);
    const auto dy = normal(c.outer * c.n * c.inner, 3);
    Guarded<float> y(x.size()), dx(x.size());
    cpu::softmax(y.data(), x.data(), c.outer, c.n, c.inner);
    cpu::softmax_grad(dx.data(), dy.data(), y.data(), c.outer, c.n, c.inner);
    const auto value = [](const Guarded<float>& from, std::size_t i) {
      return static_cast<double>(from[static_cast<std::int64_t>(i)]);
    };
    expect_close(dx,
                 by_columns(c,
                            [&](Reference& d, const auto& at) {
                              double dot = 0;
                              for (std::int64_t k = 0; k < c.n; ++k) dot += value(dy, at(k)) * value(y, at(k));
                              for (std::int64_t k = 0; k < c.n; ++k)
                                d[at(k)] = value(y, at(k)) * (value(dy, at(k)) - dot);
                            }),
                 5e-7, 1e-5, "softmax_grad " + c.text());
    cpu::log_softmax(y.data(), x.data(), c.outer, c.n, c.inner);
    cpu::log_softmax_grad(dx.data(), dy.data(), y.data(), c.outer, c.n, c.inner);
    expect_close(dx,
                 by_columns(c,
                            [&](Reference& d, const auto& at) {
                              double sum = 0;
                              for (std::int64_t k = 0; k < c.n; ++k) sum += value(dy, at(k));
                              for (std::int64_t k = 0; k < c.n; ++k)
                                d[at(k)] = value(dy, at(k)) - std::exp(value(y, at(k))) * sum;
                            }),
                 2e-6, 1e-5, "log_softmax_grad " + c.text());
  }
}

TEST_P(Softmax, GreatAndMaskedScoresStayFinite) {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {1e30f, -inf, 1e30f, -1e30f};
  std::vector<float> y(4);
  cpu::softmax(y.data(), x.data(), 1, 4, 1);
  EXPECT_EQ(y, (std::vector<float>{0.5f, 0, 0.5f, 0}));
}

DML_INSTANTIATE_ISA(Softmax);

}  // namespace
}  // namespace dml
