// What the operation table does not show of batch norm: PyTorch's numbers, threads, large means, every instruction set.
#include "kernels/batch_norm.h"

#include "tests/kernels/isa_fixture.h"

namespace dml {
namespace {

using testing::Guarded;
using testing::normal;
using testing::on_any_threads;

class BatchNorm : public testing::IsaTest {};
DML_INSTANTIATE_ISA(BatchNorm);

constexpr float kUnset = -7.0f;

/// One call over [batch, channels, inner] with scale 1 and bias 0 from running statistics 0 and 1.
struct Normalized {
  Normalized(const Guarded<float>& x, const BatchNormExtents& extents, float momentum)
      : y(x),
        mean(extents.channels, kUnset),
        rstd(extents.channels, kUnset),
        next_mean(extents.channels, kUnset),
        next_var(extents.channels, kUnset) {
    const Guarded<float> zeros(extents.channels, 0.0f);
    const Guarded<float> ones(extents.channels, 1.0f);
    cpu::batch_norm(y.data(), {mean.data(), rstd.data(), next_mean.data(), next_var.data(), zeros.data(), ones.data()},
                    x.data(), ones.data(), zeros.data(), extents, 1e-5f, momentum);
  }
  bool intact() const {
    return y.intact() && mean.intact() && rstd.intact() && next_mean.intact() && next_var.intact();
  }

  Guarded<float> y, mean, rstd, next_mean, next_var;
};

// torch.nn.BatchNorm1d(1) on [1, 2, 3, 6]: running_mean 0.3, running_var 0.9 + 0.1 * 14/3.
TEST_P(BatchNorm, RunningStatisticsArePyTorchs) {
  Guarded<float> x(4);
  x[0] = 1, x[1] = 2, x[2] = 3, x[3] = 6;
  const Normalized result(x, {4, 1, 1}, 0.9f);
  EXPECT_FLOAT_EQ(result.mean[0], 3.0f);
  EXPECT_FLOAT_EQ(result.rstd[0], static_cast<float>(1 / std::sqrt(3.5 + 1e-5)));
  EXPECT_FLOAT_EQ(result.next_mean[0], 0.3f);
  EXPECT_FLOAT_EQ(result.next_var[0], static_cast<float>(0.9 + 0.1 * 14 / 3));
}

// torch.nn.BatchNorm1d(1).eval() with running_mean 0.5, running_var 4, weight 3, bias 1 on [1, 2.5]: 3/4 + 1, 3 + 1.
TEST_P(BatchNorm, InUseTakesTheRunningStatistics) {
  Guarded<float> x(2), y(2);
  x[0] = 1, x[1] = 2.5f;
  const float mean = 0.5f, var = 4, scale = 3, bias = 1;
  cpu::batch_norm_inference(y.data(), x.data(), &scale, &bias, &mean, &var, {2, 1, 1}, 0);
  EXPECT_FLOAT_EQ(y[0], 1.75f);
  EXPECT_FLOAT_EQ(y[1], 4.0f);
  EXPECT_TRUE(y.intact());
}

TEST_P(BatchNorm, OneElementPerChannelIsFinite) {
  const Normalized result(normal(5, 1), {1, 5, 1}, 0.9f);
  for (std::int64_t i = 0; i < 5; ++i) EXPECT_EQ(result.y[i], 0.0f);
}

TEST_P(BatchNorm, ALargeMeanCostsNoPrecision) {
  auto x = normal(64 * 3 * 49, 1);
  for (float& value : x) value += 1000.0f;
  const Normalized result(x, {64, 3, 49}, 0.9f);
  for (std::int64_t c = 0; c < 3; ++c) {
    double sum = 0;
    double squares = 0;
    for (std::int64_t sample = 0; sample < 64; ++sample) {
      for (std::int64_t i = 0; i < 49; ++i) {
        const auto value = static_cast<double>(result.y[(sample * 3 + c) * 49 + i]);
        sum += value;
        squares += value * value;
      }
    }
    EXPECT_NEAR(sum / (64 * 49), 0, 1e-4);  // half a unit in the last place of 1000
    EXPECT_NEAR(squares / (64 * 49), 1, 1e-3);
  }
  EXPECT_TRUE(result.intact());
}

TEST_P(BatchNorm, DoesNotDependOnThreads) {
  const BatchNormExtents extents{16, 37, 211};
  const auto x = normal(16 * 37 * 211, 1);
  const auto dy = normal(x.size(), 2);
  const Guarded<float> ones(extents.channels, 1.0f);
  on_any_threads<float>([&] { return Normalized(x, extents, 0.9f).y; }, "y");
  const Normalized result(x, extents, 0.9f);
  const auto gradient = [&] {
    Guarded<float> dx(x.size());
    Guarded<float> dscale(extents.channels);
    Guarded<float> dbias(extents.channels);
    cpu::batch_norm_grad(dx.data(), dscale.data(), dbias.data(), dy.data(), x.data(), ones.data(), result.mean.data(),
                         result.rstd.data(), extents);
    EXPECT_TRUE(dx.intact() && dscale.intact() && dbias.intact());
    return dx;
  };
  on_any_threads<float>(gradient, "dx");
}

}  // namespace
}  // namespace dml
