#include "kernels/optimizer.h"

#include <numeric>

#include "tests/kernels/cuda/device_fixture.h"

namespace dml {
namespace {

using testing::expect_near;
using testing::normal_floats;

constexpr std::int64_t kSizes[] = {0, 1, 17, 1003, 40007};

/// Ranges begin at an element that no pack begins at, as segments of the flat buffer can.
constexpr std::int64_t kFirst = 3;

class CudaOptimizer : public testing::DeviceTest {
 protected:
  static StepState state_of(int step) {
    StepState state;
    state.learning_rate = 1e-2;
    state.clip_factor = 0.5F;
    state.bias_correction1 = 1 - std::pow(0.9, step + 1);
    state.bias_correction2 = 1 - std::pow(0.999, step + 1);
    return state;
  }
};

// Products and sums may be contracted differently: some units in the last place of each step, relative to weights of 1.
TEST_F(CudaOptimizer, AdamAndAdamWEqualTheCpu) {
  for (const bool decoupled : {false, true}) {
    for (const std::int64_t n : kSizes) {
      auto w = normal_floats(n + kFirst, 1);
      std::vector<float> m(w.size()), v(w.size());
      auto* const device_w = upload(w);
      auto* const device_m = upload(m);
      auto* const device_v = upload(v);
      for (int i = 0; i < 3; ++i) {
        const StepState state = state_of(i);
        const auto g = normal_floats(n + kFirst, 10 + static_cast<unsigned>(i));
        const AdamStep step{state.learning_rate, 0.9, 0.999, 1e-8, 0.05, state.bias_correction1, state.bias_correction2,
                            state.clip_factor};
        (decoupled ? cpu::adamw : cpu::adam)(w.data() + kFirst, m.data() + kFirst, v.data() + kFirst, g.data() + kFirst,
                                             n, step);
        (decoupled ? cuda::adamw : cuda::adam)(device_w + kFirst, device_m + kFirst, device_v + kFirst,
                                               upload(g) + kFirst, n, step, upload(std::vector<StepState>{state}),
                                               queue());
      }
      const auto what = (decoupled ? "adamw of " : "adam of ") + std::to_string(n);
      expect_near(download(device_w, n + kFirst), w, 1e-6, what);
      expect_near(download(device_m, n + kFirst), m, 1e-6, what);
      expect_near(download(device_v, n + kFirst), v, 1e-6, what);
    }
  }
}

TEST_F(CudaOptimizer, SgdEqualsTheCpu) {
  for (const SgdStep& step :
       {SgdStep{1e-2, 0, 0.1, false, 0.5F}, SgdStep{1e-2, 0.9, 0, false, 0.5F}, SgdStep{1e-2, 0.9, 0.01, true, 0.5F}}) {
    for (const std::int64_t n : kSizes) {
      auto w = normal_floats(n, 1);
      auto v = normal_floats(n, 2);
      const auto g = normal_floats(n, 3);
      auto* const device_w = upload(w);
      auto* const device_v = upload(v);
      cuda::sgd(device_w, step.momentum != 0 ? device_v : nullptr, upload(g), n, step,
                upload(std::vector<StepState>{state_of(0)}), queue());
      cpu::sgd(w.data(), v.data(), g.data(), n, step);
      expect_near(download(device_w, n), w, 1e-6, "weights of " + std::to_string(n));
      expect_near(download(device_v, n), v, 1e-6, "velocity of " + std::to_string(n));
    }
  }
}

TEST_F(CudaOptimizer, SumOfSquaresIsGoodToDouble) {
  for (const std::int64_t n : {0, 1, 17, 16384, 40007}) {
    const auto x = normal_floats(n, 4);
    auto* const sum = upload(std::vector<double>{-1});
    cuda::sum_of_squares(sum, upload(x), n, queue());
    const double expected = cpu::sum_of_squares(x.data(), n);
    EXPECT_NEAR(download(sum, 1)[0], expected, 1e-12 * expected) << n;
  }
}

TEST_F(CudaOptimizer, TheClipFactorIsComputedOnTheDevice) {
  const auto factor_of = [&](const std::vector<double>& sums, double max_norm) {
    auto* const state = upload(std::vector<StepState>{StepState{}});
    cuda::clip_factor(state, upload(sums), static_cast<std::int64_t>(sums.size()), max_norm, queue());
    return download(state, 1)[0].clip_factor;
  };
  EXPECT_FLOAT_EQ(factor_of({9, 16}, 1), static_cast<float>(1 / (5 + 1e-6)));
  EXPECT_EQ(factor_of({9, 16}, 6), 1.0F);
  EXPECT_EQ(factor_of({}, 1), 1.0F);
  EXPECT_EQ(factor_of({std::nan("")}, 1), 1.0F);
}

TEST_F(CudaOptimizer, AxpyScaleAndFill) {
  for (const std::int64_t n : kSizes) {
    auto y = normal_floats(n + kFirst, 1);
    const auto x = normal_floats(n + kFirst, 2);
    auto* const device_y = upload(y);
    cuda::axpy(device_y + kFirst, 0.3F, upload(x) + kFirst, n, queue());
    cuda::scale(device_y, 1.7F, n, queue());
    cpu::axpy(y.data() + kFirst, 0.3F, x.data() + kFirst, n);
    cpu::scale(y.data(), 1.7F, n);
    expect_near(download(device_y, n + kFirst), y, 1e-6, std::to_string(n));
    cuda::fill(device_y + 1, 2.5F, n, queue());
    cpu::fill(y.data() + 1, 2.5F, n);
    expect_near(download(device_y, n + kFirst), y, 1e-6, std::to_string(n));
  }
}

}  // namespace
}  // namespace dml
