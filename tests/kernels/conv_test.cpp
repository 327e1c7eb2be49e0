// What the operation table does not show of convolutions: layers of a real size, repeated bits, errors.
#include "kernels/conv.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/kernels/isa_fixture.h"

namespace dml {
namespace {

using testing::Guarded;
using testing::normal;

double dot(const Guarded<float>& a, const Guarded<float>& b) {
  double sum = 0;
  for (std::int64_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

/// A layer of ResNet-18 with fewer samples; 3x3 with padding 1.
struct Layer {
  Layer(std::int64_t inputs, std::int64_t outputs, std::int64_t size, std::int64_t stride)
      : x_shape{2, inputs, size, size},
        w_shape{outputs, inputs, 3, 3},
        y_shape{2, outputs, (size - 1) / stride + 1, (size - 1) / stride + 1},
        x(normal(x_shape.num_elements(), 1)),
        w(normal(w_shape.num_elements(), 2)),
        dy(normal(y_shape.num_elements(), 3)),
        y(y_shape.num_elements()),
        dx(x_shape.num_elements()),
        dw(w_shape.num_elements()) {
    options.window.strides = {stride, stride};
    options.window.pads_begin = options.window.pads_end = {1, 1};
  }

  void run() {
    cpu::prepare_conv(view(y, y_shape), view(x, x_shape), view(w, w_shape), {}, options)();
    cpu::prepare_conv_input_grad(view(dx, x_shape), view(dy, y_shape), view(w, w_shape), options)();
    cpu::prepare_conv_weight_grad(view(dw, w_shape), view(dy, y_shape), view(x, x_shape), options)();
  }

  Shape x_shape, w_shape, y_shape;
  Guarded<float> x, w, dy, y, dx, dw;
  ConvOptions options;
};

// A convolution is linear in x and in w, so <dy, y> = <dx, x> = <dw, w>.
TEST(Conv, GradientsAreAdjoint) {
  for (Layer& layer : std::vector<Layer>{{64, 64, 16, 1}, {64, 128, 16, 2}, {3, 64, 17, 1}, {128, 20, 5, 2}}) {
    for (const int threads : {1, 2}) {
      testing::IsaTest::set_threads(threads);
      layer.run();
      const double product = dot(layer.dy, layer.y);
      const double allowed = 1e-5 * std::sqrt(dot(layer.dy, layer.dy) * dot(layer.y, layer.y));
      EXPECT_NEAR(dot(layer.dx, layer.x), product, allowed) << layer.w_shape.to_string();
      EXPECT_NEAR(dot(layer.dw, layer.w), product, allowed) << layer.w_shape.to_string();
      EXPECT_TRUE(layer.y.intact() && layer.dx.intact() && layer.dw.intact());
    }
  }
}

TEST(Conv, SameThreadsGiveSameBits) {
  Layer layer(64, 64, 16, 1);
  layer.run();
  const Layer first = layer;
  for (int run = 0; run < 5; ++run) {
    layer.run();
    ASSERT_TRUE(layer.y == first.y && layer.dx == first.dx && layer.dw == first.dw) << run;
  }
}

TEST(Conv, ErrorsCarryTheShapes) {
  Guarded<float> x(1000);
  const auto prepare = [&](const Shape& y, const Shape& w, std::int64_t group) {
    ConvOptions options;
    options.group = group;
    return cpu::prepare_conv(view(x, y), view(x, {1, 4, 5, 5}), view(x, w), {}, options);
  };
  EXPECT_NO_THROW(prepare({1, 2, 3, 3}, {2, 4, 3, 3}, 1));
  EXPECT_THROW(prepare({1, 2, 3, 3}, {2, 3, 3, 3}, 1), std::invalid_argument);
  EXPECT_THROW(prepare({1, 3, 3, 3}, {3, 2, 3, 3}, 2), std::invalid_argument);
  try {
    prepare({1, 2, 4, 3}, {2, 4, 3, 3}, 1);
    FAIL() << "no error";
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("y is 1x2x4x3, x is 1x4x5x5, w is 2x4x3x3"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace dml
