// What the operation table does not show of pools: ties, NaN, many planes, every instruction set.
#include "kernels/pool.h"

#include <limits>

#include "tests/kernels/isa_fixture.h"

namespace dml {
namespace {

using testing::Guarded;
using testing::normal;
using testing::on_any_threads;

class Pool : public testing::IsaTest {};
DML_INSTANTIATE_ISA(Pool);

PoolGeometry row_geometry(std::int64_t width, std::int64_t kernel) {
  PoolGeometry geometry;
  geometry.planes = 1;
  geometry.in = {1, width};
  geometry.out = {1, width - kernel + 1};
  geometry.window.kernel = {1, kernel};
  return geometry;
}

/// 3x3, stride 2, padding 1, as in ResNet.
PoolGeometry many_planes() {
  PoolGeometry geometry;
  geometry.planes = 70;
  geometry.in = {33, 31};
  geometry.out = {17, 16};
  geometry.window.kernel = {3, 3};
  geometry.window.strides = {2, 2};
  geometry.window.pads_begin = geometry.window.pads_end = {1, 1};
  return geometry;
}

TEST_P(Pool, TheFirstOfEqualMaximaCounts) {
  const float x[] = {2, 5, 5, 1, 5};
  float y[3];
  std::int32_t where[3];
  cpu::max_pool(y, where, x, row_geometry(5, 3));
  EXPECT_EQ((std::vector<std::int32_t>(where, where + 3)), (std::vector<std::int32_t>{1, 1, 2}));
}

TEST_P(Pool, NaNIsAMaximum) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const float x[] = {1, kNan, 3, 4, 2};
  float y[4];
  std::int32_t where[4];
  cpu::max_pool(y, where, x, row_geometry(5, 2));
  EXPECT_TRUE(std::isnan(y[0]) && std::isnan(y[1]));
  EXPECT_EQ((std::vector<std::int32_t>(where, where + 4)), (std::vector<std::int32_t>{1, 1, 3, 3}));
}

TEST_P(Pool, MinusInfinityHasAPlace) {
  const float x[] = {-INFINITY, -INFINITY, -INFINITY};
  float y[2];
  std::int32_t where[2];
  cpu::max_pool(y, where, x, row_geometry(3, 2));
  EXPECT_EQ(where[0], 0);
  EXPECT_EQ(where[1], 1);
}

TEST_P(Pool, GradientsGoWhereTheMaximaWere) {
  const PoolGeometry geometry = many_planes();
  const std::int64_t inputs = geometry.planes * 33 * 31;
  const std::int64_t outputs = geometry.planes * 17 * 16;
  const auto x = normal(inputs, 1);
  Guarded<float> y(outputs);
  Guarded<std::int32_t> where(outputs);
  cpu::max_pool(y.data(), where.data(), x.data(), geometry);
  const auto dx = on_any_threads<float>(
      [&] {
        Guarded<float> result(inputs);
        cpu::max_pool_grad(result.data(), y.data(), where.data(), geometry);
        return result;
      },
      "max_pool_grad");
  double sum_y = 0;
  double sum_dx = 0;
  for (const float value : std::vector<float>(y.begin(), y.end())) sum_y += static_cast<double>(value);
  for (std::int64_t i = 0; i < inputs; ++i) {
    sum_dx += static_cast<double>(dx[i]);
    const double times = static_cast<double>(dx[i]) / static_cast<double>(x[i]);  // that x[i] was a maximum
    EXPECT_NEAR(times, std::round(times), 1e-6) << i;
  }
  EXPECT_NEAR(sum_dx, sum_y, 1e-3);
  EXPECT_TRUE(y.intact() && where.intact() && dx.intact());
}

TEST_P(Pool, AveragesAreAdjoint) {
  const PoolGeometry geometry = many_planes();
  const std::int64_t inputs = geometry.planes * 33 * 31;
  const std::int64_t outputs = geometry.planes * 17 * 16;
  const auto x = normal(inputs, 1);
  const auto dy = normal(outputs, 2);
  Guarded<float> y(outputs);
  Guarded<float> dx(inputs);
  cpu::average_pool(y.data(), x.data(), geometry);
  cpu::average_pool_grad(dx.data(), dy.data(), geometry);
  double forward = 0;
  double backward = 0;
  for (std::int64_t i = 0; i < outputs; ++i) forward += static_cast<double>(dy[i]) * static_cast<double>(y[i]);
  for (std::int64_t i = 0; i < inputs; ++i) backward += static_cast<double>(dx[i]) * static_cast<double>(x[i]);
  EXPECT_NEAR(forward, backward, 1e-3);
  EXPECT_TRUE(y.intact() && dx.intact());
}

}  // namespace
}  // namespace dml
