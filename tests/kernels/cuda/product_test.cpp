#include "kernels/conv.h"
#include "kernels/error.h"
#include "kernels/matmul.h"
#include "tests/kernels/cuda/device_fixture.h"

namespace dml {
namespace {

using testing::expect_near;
using testing::normal_floats;

/// Skipped where the device's libraries are not at hand.
class ProductTest : public testing::DeviceTest {
 protected:
  template <typename Open>
  static void require(const Open& open) {
    if (IsSkipped()) return;
    try {
      open();
    } catch (const DeviceError& error) {
      GTEST_SKIP() << error.what();
    }
  }
  /// The result of run(views) where the first view holds `result` before.
  template <typename Run>
  std::vector<float> on_device(const std::vector<Shape>& shapes, const std::vector<std::vector<float>>& values,
                               const Run& run) {
    std::vector<TensorView> views;
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      views.push_back(
          {values[i].empty() && shapes[i].num_elements() > 0 ? nullptr : upload(values[i]), DataType::f32, shapes[i]});
    }
    run(views)();
    return download(views[0].as<const float>(), shapes[0].num_elements());
  }
  template <typename Run>
  static std::vector<float> on_cpu(const std::vector<Shape>& shapes, std::vector<std::vector<float>> values,
                                   const Run& run) {
    std::vector<TensorView> views;
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      views.push_back(
          {values[i].empty() && shapes[i].num_elements() > 0 ? nullptr : values[i].data(), DataType::f32, shapes[i]});
    }
    run(views)();
    return values[0];
  }
};

class CudaMatMul : public ProductTest {
 protected:
  void SetUp() override {
    ProductTest::SetUp();
    require([this] { queue().handles->blas(); });
  }
};

struct MatMulCase {
  Shape y, a, b;
  bool bias = false;
  MatMulOptions options = {};
};

const std::vector<MatMulCase> kMatMulCases = {
    {{5, 7}, {5, 3}, {3, 7}},
    {{5, 7}, {3, 5}, {3, 7}, false, {.trans_a = true}},
    {{5, 7}, {5, 3}, {7, 3}, true, {.trans_b = true}},
    {{5, 7}, {3, 5}, {7, 3}, false, {.trans_a = true, .trans_b = true}},
    {{64, 48}, {64, 32}, {32, 48}, true},
    {{64, 48}, {64, 32}, {32, 48}, true, {.accumulate = true, .alpha = 0.5F}},
    {{2, 3, 4, 5}, {2, 3, 4, 6}, {2, 3, 6, 5}},
    {{2, 3, 4, 5}, {2, 3, 4, 6}, {6, 5}, true},
    {{2, 3, 4, 5}, {6, 4}, {2, 3, 6, 5}, false, {.trans_a = true}},
    {{2, 3, 4, 5}, {2, 1, 4, 6}, {3, 5, 6}, true, {.trans_b = true, .alpha = 2}},  // no one batch: several calls
    {{3, 4}, {3, 0}, {0, 4}, true},
    {{3, 4}, {3, 0}, {0, 4}, true, {.accumulate = true}},
    {{0, 4}, {0, 2}, {2, 4}},
    {{1, 1}, {1, 300}, {300, 1}},
};

TEST_F(CudaMatMul, EqualsTheCpu) {
  for (const MatMulCase& c : kMatMulCases) {
    const std::vector<Shape> shapes = {c.y, c.a, c.b, Shape{c.y.back()}};
    const std::vector<std::vector<float>> values = {
        normal_floats(c.y.num_elements(), 1), normal_floats(c.a.num_elements(), 2),
        normal_floats(c.b.num_elements(), 3), c.bias ? normal_floats(c.y.back(), 4) : std::vector<float>{}};
    const auto expected = on_cpu(shapes, values, [&](const std::vector<TensorView>& v) {
      return cpu::prepare_matmul(v[0], v[1], v[2], v[3], c.options);
    });
    const auto result = on_device(shapes, values, [&](const std::vector<TensorView>& v) {
      return cuda::prepare_matmul(v[0], v[1], v[2], v[3], c.options, queue());
    });
    expect_near(result, expected, 1e-5, c.y.to_string() + " = " + c.a.to_string() + " " + c.b.to_string());
  }
}

TEST_F(CudaMatMul, AlgorithmsAreAskedForOncePerProduct) {
  const TensorView a{upload(normal_floats(6, 1)), DataType::f32, {2, 3}};
  const TensorView b{upload(normal_floats(12, 2)), DataType::f32, {3, 4}};
  for (int i = 0; i < 3; ++i) {
    cuda::prepare_matmul({allocate_elems<float>(8), DataType::f32, {2, 4}}, a, b, {}, {}, queue())();
  }
  EXPECT_EQ(queue().handles->products.size(), 1u);
}

TEST_F(CudaMatMul, OperandsOfAnotherTypeAreRefused) {
  const TensorView a{allocate(64), DataType::f64, {2, 3}};
  EXPECT_THROW(cuda::prepare_matmul({allocate(64), DataType::f32, {2, 2}}, a, {allocate(64), DataType::f32, {3, 2}}, {},
                                    {}, queue()),
               std::invalid_argument);
}

class CudaConv : public ProductTest {
 protected:
  void SetUp() override {
    ProductTest::SetUp();
    require([this] { queue().handles->dnn(); });
  }
};

struct ConvCase {
  Shape y, x, w;
  ConvOptions options = {};
};

const std::vector<ConvCase> kConvCases = {
    {{2, 4, 5, 6}, {2, 3, 5, 6}, {4, 3, 3, 3}, {{{}, {1, 1}, {1, 1}, {1, 1}, {1, 1}}, 1}},
    {{2, 4, 3, 3}, {2, 6, 6, 5}, {4, 3, 3, 2}, {{{}, {2, 2}, {1, 0}, {1, 1}, {1, 1}}, 2}},  // pads differ
    {{1, 2, 3, 2}, {1, 1, 7, 8}, {2, 1, 3, 3}, {{{}, {1, 2}, {0, 0}, {0, 0}, {2, 2}}, 1}},
    {{3, 2, 9}, {3, 4, 9}, {2, 4, 3}, {{{}, {1, 1}, {1, 0}, {1, 0}, {1, 1}}, 1}},
    {{3, 2, 9}, {3, 4, 8}, {2, 4, 3}, {{{}, {1, 1}, {1, 0}, {2, 0}, {1, 1}}, 1}},
    {{0, 2, 9}, {0, 4, 9}, {2, 4, 3}, {{{}, {1, 1}, {1, 0}, {1, 0}, {1, 1}}, 1}},
};

TEST_F(CudaConv, EqualsTheCpu) {
  for (const ConvCase& c : kConvCases) {
    const std::vector<Shape> shapes = {c.y, c.x, c.w, Shape{c.w[0]}};
    for (const bool with_bias : {false, true}) {
      const std::vector<std::vector<float>> values = {
          normal_floats(c.y.num_elements(), 1), normal_floats(c.x.num_elements(), 2),
          normal_floats(c.w.num_elements(), 3), with_bias ? normal_floats(c.w[0], 4) : std::vector<float>{}};
      if (c.y.num_elements() == 0) continue;
      const auto expected = on_cpu(shapes, values, [&](const std::vector<TensorView>& v) {
        return cpu::prepare_conv(v[0], v[1], v[2], v[3], c.options);
      });
      const auto result = on_device(shapes, values, [&](const std::vector<TensorView>& v) {
        return cuda::prepare_conv(v[0], v[1], v[2], v[3], c.options, queue());
      });
      expect_near(result, expected, 1e-5, c.y.to_string() + " of " + c.x.to_string());
    }
  }
}

TEST_F(CudaConv, GradientsEqualTheCpu) {
  for (const ConvCase& c : kConvCases) {
    if (c.y.num_elements() == 0) continue;
    const auto dy = normal_floats(c.y.num_elements(), 1);
    const auto x = normal_floats(c.x.num_elements(), 2);
    const auto w = normal_floats(c.w.num_elements(), 3);
    const auto dx = on_device({c.x, c.y, c.w}, {x, dy, w}, [&](const std::vector<TensorView>& v) {
      return cuda::prepare_conv_input_grad(v[0], v[1], v[2], c.options, queue());
    });
    expect_near(dx,
                on_cpu({c.x, c.y, c.w}, {x, dy, w},
                       [&](const std::vector<TensorView>& v) {
                         return cpu::prepare_conv_input_grad(v[0], v[1], v[2], c.options);
                       }),
                1e-5, "dx of " + c.x.to_string());
    const auto dw = on_device({c.w, c.y, c.x}, {w, dy, x}, [&](const std::vector<TensorView>& v) {
      return cuda::prepare_conv_weight_grad(v[0], v[1], v[2], c.options, queue());
    });
    expect_near(dw,
                on_cpu({c.w, c.y, c.x}, {w, dy, x},
                       [&](const std::vector<TensorView>& v) {
                         return cpu::prepare_conv_weight_grad(v[0], v[1], v[2], c.options);
                       }),
                1e-5, "dw of " + c.w.to_string());
  }
}

TEST_F(CudaConv, NoBatchGivesZeroGradients) {
  const ConvCase& c = kConvCases.back();
  const auto dw =
      on_device({c.w, c.y, c.x}, {normal_floats(c.w.num_elements(), 1), {}, {}}, [&](const std::vector<TensorView>& v) {
        return cuda::prepare_conv_weight_grad(v[0], v[1], v[2], c.options, queue());
      });
  EXPECT_EQ(dw, std::vector<float>(dw.size(), 0.0F));
}

}  // namespace
}  // namespace dml
