#include "kernels/layer_norm.h"

#include "tests/kernels/isa_fixture.h"

namespace dml {
namespace {

using testing::expect_close;
using testing::Guarded;
using testing::normal;
using testing::on_any_threads;
using Reference = std::vector<double>;

struct LayerNormCase {
  std::int64_t rows, n;
  std::string text() const { return std::to_string(rows) + "x" + std::to_string(n); }
};

const std::vector<LayerNormCase> kLayerNormCases = {{1, 1},     {1, 5},    {3, 16},   {7, 33}, {130, 64},
                                                    {129, 257}, {517, 96}, {3, 3001}, {0, 8}};
constexpr float kEpsilon = 1e-5f;

struct Statistics {
  double mean, rstd;
};

Statistics statistics_of(const Guarded<float>& x, std::int64_t row, std::int64_t n) {
  double sum = 0, squares = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[row * n + i]);
  const double mean = sum / static_cast<double>(n);
  for (std::int64_t i = 0; i < n; ++i) squares += std::pow(static_cast<double>(x[row * n + i]) - mean, 2);
  return {mean, 1 / std::sqrt(squares / static_cast<double>(n) + static_cast<double>(kEpsilon))};
}

struct Operands {
  explicit Operands(const LayerNormCase& c)
      : x(normal(c.rows * c.n, 1)), dy(normal(c.rows * c.n, 2)), scale(normal(c.n, 3)), bias(normal(c.n, 4)) {
    for (float& value : x) value += 3.0f;  // a mean far from zero
    for (std::int64_t row = 0; row < c.rows; ++row) {
      statistics.push_back(statistics_of(x, row, c.n));
      mean.push_back(static_cast<float>(statistics.back().mean));
      rstd.push_back(static_cast<float>(statistics.back().rstd));
    }
  }
  double normalized(std::int64_t row, std::int64_t i, std::int64_t n) const {
    const auto& s = statistics[static_cast<std::size_t>(row)];
    return (static_cast<double>(x[row * n + i]) - s.mean) * s.rstd;
  }

  Guarded<float> x, dy, scale, bias;
  std::vector<Statistics> statistics;
  std::vector<float> mean, rstd;
};

class LayerNorm : public testing::IsaTest {};

TEST_P(LayerNorm, EqualsTheReference) {
  for (const LayerNormCase& c : kLayerNormCases) {
    const Operands o(c);
    for (const bool with_bias : {true, false}) {
      Guarded<float> mean(c.rows), rstd(c.rows);
      const auto y = on_any_threads<float>(
          [&] {
            Guarded<float> out(c.rows * c.n);
            cpu::layer_norm(out.data(), mean.data(), rstd.data(), o.x.data(), o.scale.data(),
                            with_bias ? o.bias.data() : nullptr, c.rows, c.n, kEpsilon);
            return out;
          },
          "layer_norm " + c.text());
      Reference wanted, means, rstds;
      for (std::int64_t row = 0; row < c.rows; ++row) {
        means.push_back(o.statistics[static_cast<std::size_t>(row)].mean);
        rstds.push_back(o.statistics[static_cast<std::size_t>(row)].rstd);
        for (std::int64_t i = 0; i < c.n; ++i) {
          const double bias = with_bias ? static_cast<double>(o.bias[i]) : 0.0;
          wanted.push_back(o.normalized(row, i, c.n) * static_cast<double>(o.scale[i]) + bias);
        }
      }
      expect_close(y, wanted, 3e-6, 1e-6, "layer_norm " + c.text());  // the mean, 3, is rounded to 2e-7
      expect_close(mean, means, 0, 2e-7, "mean " + c.text());
      expect_close(rstd, rstds, 0, 1e-6, "rstd " + c.text());
    }
  }
}

TEST_P(LayerNorm, InputGradientEqualsTheReference) {
  for (const LayerNormCase& c : kLayerNormCases) {
    const Operands o(c);
    const auto dx = on_any_threads<float>(
        [&] {
          Guarded<float> out(c.rows * c.n);
          cpu::layer_norm_grad(out.data(), o.dy.data(), o.x.data(), o.scale.data(), o.mean.data(), o.rstd.data(),
                               c.rows, c.n);
          return out;
        },
        "layer_norm_grad " + c.text());
    Reference wanted;
    for (std::int64_t row = 0; row < c.rows; ++row) {
      const auto g = [&](std::int64_t i) {
        return static_cast<double>(o.dy[row * c.n + i]) * static_cast<double>(o.scale[i]);
      };
      double sum = 0, dot = 0;
      for (std::int64_t i = 0; i < c.n; ++i) {
        sum += g(i);
        dot += g(i) * o.normalized(row, i, c.n);
      }
      const auto n = static_cast<double>(c.n);
      for (std::int64_t i = 0; i < c.n; ++i) {
        wanted.push_back(o.statistics[static_cast<std::size_t>(row)].rstd *
                         (g(i) - sum / n - o.normalized(row, i, c.n) * dot / n));
      }
    }
    // With one element the variance is 0, and rstd, 316, multiplies the rounding.
    expect_close(dx, wanted, c.n == 1 ? 1e-3 : 1e-5, 1e-5, "layer_norm_grad " + c.text());
  }
}

TEST_P(LayerNorm, ParameterGradientsEqualTheReference) {
  for (const LayerNormCase& c : kLayerNormCases) {
    const Operands o(c);
    Guarded<float> dbias(c.n);
    const auto dscale = on_any_threads<float>(
        [&] {
          Guarded<float> out(c.n);
          cpu::layer_norm_param_grad(out.data(), dbias.data(), o.dy.data(), o.x.data(), o.mean.data(), o.rstd.data(),
                                     c.rows, c.n);
          return out;
        },
        "layer_norm_param_grad " + c.text());
    Reference scales(static_cast<std::size_t>(c.n)), biases(static_cast<std::size_t>(c.n));
    for (std::int64_t row = 0; row < c.rows; ++row) {
      for (std::int64_t i = 0; i < c.n; ++i) {
        const double dy = static_cast<double>(o.dy[row * c.n + i]);
        scales[static_cast<std::size_t>(i)] += dy * o.normalized(row, i, c.n);
        biases[static_cast<std::size_t>(i)] += dy;
      }
    }
    expect_close(dscale, scales, 3e-5, 1e-5, "dscale " + c.text());
    expect_close(dbias, biases, 3e-5, 1e-5, "dbias " + c.text());
  }
}

DML_INSTANTIATE_ISA(LayerNorm);

}  // namespace
}  // namespace dml
