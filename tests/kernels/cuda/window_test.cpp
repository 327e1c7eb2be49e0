#include "kernels/batch_norm.h"
#include "kernels/pool.h"
#include "tests/kernels/cuda/device_fixture.h"

namespace dml {
namespace {

using testing::expect_near;
using testing::normal_floats;

class CudaWindow : public testing::DeviceTest {};

std::int64_t elements(const PoolGeometry& g, const Window::Extents& plane) { return g.planes * plane[0] * plane[1]; }

/// With y's extents from the others.
PoolGeometry pool(std::int64_t planes, Window::Extents in, Window window, bool count_include_pad = false) {
  PoolGeometry g{planes, in, {}, window, count_include_pad};
  for (std::size_t dim = 0; dim < 2; ++dim) {
    const std::int64_t room =
        in[dim] + window.pads_begin[dim] + window.pads_end[dim] - 1 - (window.kernel[dim] - 1) * window.dilations[dim];
    g.out[dim] = room / window.strides[dim] + 1;
  }
  return g;
}

const std::vector<PoolGeometry> kPools = {
    pool(3, {7, 9}, {{2, 2}, {2, 2}, {0, 0}, {0, 0}, {1, 1}}),
    pool(2, {8, 5}, {{3, 3}, {2, 1}, {1, 1}, {1, 1}, {1, 1}}),
    pool(2, {8, 5}, {{3, 2}, {1, 2}, {0, 1}, {2, 0}, {1, 1}}, true),
    pool(1, {1, 33}, {{1, 5}, {1, 3}, {0, 2}, {0, 1}, {1, 1}}, true),
    pool(1, {3, 3}, {{1, 1}, {1, 1}, {2, 2}, {2, 2}, {1, 1}}),  // windows that hold nothing
};

TEST_F(CudaWindow, MaxPoolsKeepTheFirstMaximum) {
  auto geometries = kPools;
  geometries.push_back(pool(2, {9, 12}, {{2, 3}, {1, 2}, {1, 0}, {0, 1}, {2, 3}}));
  for (const PoolGeometry& g : geometries) {
    auto x = normal_floats(elements(g, g.in), 1);
    for (float& value : x) value = std::round(value);  // ties
    if (x.size() > 4) x[3] = x[4] = std::nanf("");
    const std::int64_t n = elements(g, g.out);
    std::vector<float> y(static_cast<std::size_t>(n)), dx(x.size());
    std::vector<std::int32_t> where(y.size());
    const auto dy = normal_floats(n, 2);
    cpu::max_pool(y.data(), where.data(), x.data(), g);
    cpu::max_pool_grad(dx.data(), dy.data(), where.data(), g);
    auto* const device_y = allocate_elems<float>(n);
    auto* const device_where = allocate_elems<std::int32_t>(n);
    auto* const device_dx = allocate_elems<float>(elements(g, g.in));
    cuda::max_pool(device_y, device_where, upload(x), g, queue());
    cuda::max_pool_grad(device_dx, upload(dy), device_where, g, queue());
    EXPECT_EQ(download(device_where, n), where);
    expect_near(download(device_y, n), y, 0, "y");
    expect_near(download(device_dx, elements(g, g.in)), dx, 0, "dx");
  }
}

TEST_F(CudaWindow, AveragePoolsEqualTheCpu) {
  for (const PoolGeometry& g : kPools) {
    const auto x = normal_floats(elements(g, g.in), 1);
    const auto dy = normal_floats(elements(g, g.out), 2);
    std::vector<float> y(dy.size()), dx(x.size());
    cpu::average_pool(y.data(), x.data(), g);
    cpu::average_pool_grad(dx.data(), dy.data(), g);
    auto* const device_y = allocate_elems<float>(elements(g, g.out));
    auto* const device_dx = allocate_elems<float>(elements(g, g.in));
    cuda::average_pool(device_y, upload(x), g, queue());
    cuda::average_pool_grad(device_dx, upload(dy), g, queue());
    expect_near(download(device_y, elements(g, g.out)), y, 1e-6, "y");
    expect_near(download(device_dx, elements(g, g.in)), dx, 1e-6, "dx");
  }
}

TEST_F(CudaWindow, BatchNormEqualsTheCpu) {
  for (const bool trains : {true, false}) {
    for (const BatchNormExtents& e : {BatchNormExtents{1, 3, 1}, {4, 5, 49}, {700, 3, 1}, {2, 5, 1200}}) {
      const std::int64_t n = e.batch * e.channels * e.inner;
      const auto x = normal_floats(n, 1);
      const auto scale = normal_floats(e.channels, 2);
      const auto bias = normal_floats(e.channels, 3);
      auto mean = normal_floats(e.channels, 4);
      std::vector<float> var(scale.size(), 0.7F), saved_mean(scale.size()), saved_rstd(scale.size()), y(x.size());
      BatchNormStatistics device{upload(saved_mean), upload(saved_rstd), upload(mean), upload(var), nullptr, nullptr};
      device.mean = device.next_mean;
      device.var = device.next_var;
      StepState state;
      state.trains = trains;
      auto* const device_y = allocate_elems<float>(n);
      cuda::batch_norm(device_y, device, upload(x), upload(scale), upload(bias), e, 1e-5F, 0.9F,
                       upload(std::vector<StepState>{state}), queue());
      const BatchNormStatistics host{saved_mean.data(), saved_rstd.data(), mean.data(),
                                     var.data(),        mean.data(),       var.data()};
      if (trains) {
        cpu::batch_norm(y.data(), host, x.data(), scale.data(), bias.data(), e, 1e-5F, 0.9F);
      } else {
        cpu::batch_norm_inference(y.data(), x.data(), scale.data(), bias.data(), mean.data(), var.data(), e, 1e-5F);
      }
      const std::string what = std::to_string(e.batch) + "x" + std::to_string(e.channels) + "x" +
                               std::to_string(e.inner) + (trains ? "" : " by running statistics");
      expect_near(download(device_y, n), y, 2e-6, what);
      expect_near(download(device.next_mean, e.channels), mean, 1e-6, what);
      expect_near(download(device.next_var, e.channels), var, 1e-6, what);
      if (trains) expect_near(download(device.saved_rstd, e.channels), saved_rstd, 1e-6, what);
    }
  }
}

TEST_F(CudaWindow, BatchNormGradientsEqualTheCpu) {
  for (const BatchNormExtents& e : {BatchNormExtents{4, 5, 49}, {700, 3, 1}, {2, 5, 1200}}) {
    const std::int64_t n = e.batch * e.channels * e.inner;
    const auto x = normal_floats(n, 1);
    const auto dy = normal_floats(n, 5);
    const auto scale = normal_floats(e.channels, 2);
    const auto mean = normal_floats(e.channels, 3);
    const std::vector<float> rstd(scale.size(), 0.8F);
    std::vector<float> dx(x.size()), dscale(scale.size()), dbias(scale.size());
    cpu::batch_norm_grad(dx.data(), dscale.data(), dbias.data(), dy.data(), x.data(), scale.data(), mean.data(),
                         rstd.data(), e);
    auto* const device_dx = allocate_elems<float>(n);
    auto* const device_dscale = allocate_elems<float>(e.channels);
    auto* const device_dbias = allocate_elems<float>(e.channels);
    cuda::batch_norm_grad(device_dx, device_dscale, device_dbias, upload(dy), upload(x), upload(scale), upload(mean),
                          upload(rstd), e, queue());
    expect_near(download(device_dx, n), dx, 2e-6, "dx");
    expect_near(download(device_dscale, e.channels), dscale, 2e-6, "dscale");
    expect_near(download(device_dbias, e.channels), dbias, 2e-6, "dbias");
  }
}

}  // namespace
}  // namespace dml
