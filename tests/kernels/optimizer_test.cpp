#include "kernels/optimizer.h"

#include "tests/kernels/isa_fixture.h"

namespace dml {
namespace {

using testing::expect_close;
using testing::Guarded;
using testing::normal;
using testing::on_any_threads;
using Reference = std::vector<double>;

constexpr std::int64_t kSizes[] = {0, 1, 17, 1003, 40007};
constexpr int kSteps = 5;

Reference doubles(const Guarded<float>& x) { return Reference(x.data(), x.data() + x.size()); }
double at(const Guarded<float>& x, std::size_t i) { return static_cast<double>(x[static_cast<std::int64_t>(i)]); }

class Optimizer : public testing::IsaTest {};

// Adam moves each weight by about the learning rate, so errors are relative to that: 5 steps of 1e-2.
TEST_P(Optimizer, AdamAndAdamWEqualTheReference) {
  for (const bool decoupled : {false, true}) {
    for (const std::int64_t n : kSizes) {
      const std::string what = (decoupled ? "adamw " : "adam ") + std::to_string(n);
      auto w = normal(n, 1);
      Guarded<float> m(n), v(n);
      Reference ws = doubles(w), ms(ws.size()), vs(ws.size());
      AdamStep step{1e-2, 0.9, 0.999, 1e-8, 0.05, 1, 1, 0.5f};
      for (int k = 1; k <= kSteps; ++k) {
        const auto g = normal(n, 10 + static_cast<unsigned>(k));
        step.bias_correction1 = 1 - std::pow(step.beta1, k);
        step.bias_correction2 = 1 - std::pow(step.beta2, k);
        (decoupled ? cpu::adamw : cpu::adam)(w.data(), m.data(), v.data(), g.data(), n, step);
        for (std::size_t i = 0; i < ws.size(); ++i) {
          double slope = at(g, i) * 0.5;
          if (decoupled) ws[i] *= 1 - step.learning_rate * step.weight_decay;
          if (!decoupled) slope += step.weight_decay * ws[i];
          ms[i] = step.beta1 * ms[i] + (1 - step.beta1) * slope;
          vs[i] = step.beta2 * vs[i] + (1 - step.beta2) * slope * slope;
          const double root = std::sqrt(vs[i]) / std::sqrt(step.bias_correction2) + step.epsilon;
          ws[i] -= step.learning_rate / step.bias_correction1 * ms[i] / root;
        }
      }
      expect_close(w, ws, 1e-6, 5e-7, what);
      expect_close(m, ms, 3e-7, 1e-6, what + " moment1");
      expect_close(v, vs, 1e-9, 1e-6, what + " moment2");
    }
  }
}

TEST_P(Optimizer, SgdEqualsTheReference) {
  struct Variant {
    double momentum, decay;
    bool nesterov;
  };
  for (const Variant& variant : {Variant{0, 0, false}, Variant{0, 0.1, false}, Variant{0.9, 0, false},
                                 Variant{0.9, 0.1, false}, Variant{0.8, 0.1, true}}) {
    for (const std::int64_t n : kSizes) {
      auto w = normal(n, 2);
      Guarded<float> velocity(n);
      Reference ws = doubles(w), vs(ws.size());
      const SgdStep step{0.1, variant.momentum, variant.decay, variant.nesterov, 2.0f};
      for (int k = 0; k < kSteps; ++k) {
        const auto g = normal(n, 20 + static_cast<unsigned>(k));
        cpu::sgd(w.data(), variant.momentum == 0 ? nullptr : velocity.data(), g.data(), n, step);
        for (std::size_t i = 0; i < ws.size(); ++i) {
          const double slope = 2 * at(g, i) + variant.decay * ws[i];
          vs[i] = variant.momentum * vs[i] + slope;
          ws[i] -= 0.1 * (variant.nesterov ? slope + variant.momentum * vs[i] : vs[i]);
        }
      }
      expect_close(w, ws, 2e-6, 1e-6, "sgd " + std::to_string(n));
      EXPECT_TRUE(velocity.intact());
    }
  }
}

TEST_P(Optimizer, RangesMayBeCutAnywhere) {
  const std::int64_t n = 9001;
  const auto g = normal(n, 3);
  const AdamStep step{1e-3, 0.9, 0.999, 1e-8, 0.01, 0.1, 0.001, 1};
  auto whole = normal(n, 4), cut = normal(n, 4);
  Guarded<float> m(n), v(n), m_cut(n), v_cut(n);
  cpu::adamw(whole.data(), m.data(), v.data(), g.data(), n, step);
  for (std::int64_t begin = 0; begin < n; begin += 611) {
    const std::int64_t part = std::min<std::int64_t>(611, n - begin);
    cpu::adamw(cut.data() + begin, m_cut.data() + begin, v_cut.data() + begin, g.data() + begin, part, step);
  }
  EXPECT_TRUE(whole == cut && m == m_cut && v == v_cut);
}

TEST_P(Optimizer, SumsAndScalings) {
  for (const std::int64_t n : {0, 1, 17, 8192, 8193, 700001}) {
    auto x = normal(n, 5);
    double wanted = 0;
    for (const float value : x) wanted += static_cast<double>(value) * static_cast<double>(value);
    set_threads(1);
    const double one = cpu::sum_of_squares(x.data(), n);
    set_threads(2);
    EXPECT_EQ(one, cpu::sum_of_squares(x.data(), n)) << n;
    EXPECT_NEAR(one, wanted, 1e-12 * wanted) << n;

    auto y = normal(n, 6);
    Reference sums = doubles(y);
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += 0.3f * at(x, i);
    cpu::axpy(y.data(), 0.3f, x.data(), n);
    expect_close(y, sums, 2e-7, 2e-7, "axpy");
    const Guarded<float> before = y;
    cpu::scale(y.data(), 0.25f, n);
    for (std::int64_t i = 0; i < n; ++i) ASSERT_EQ(y[i], 0.25f * before[i]);
    cpu::fill(y.data(), 7.0f, n);
    for (const float value : y) ASSERT_EQ(value, 7.0f);
    EXPECT_TRUE(y.intact());
  }
}

DML_INSTANTIATE_ISA(Optimizer);

}  // namespace
}  // namespace dml
