#include <utility>

#include "kernels/bf16.h"
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

std::vector<bf16> rounded(const std::vector<float>& values) {
  std::vector<bf16> result;
  for (const float value : values) result.push_back(to_bf16(value));
  return result;
}
std::vector<float> widened(const std::vector<bf16>& values) {
  std::vector<float> result;
  for (const bf16 value : values) result.push_back(to_float(value));
  return result;
}

/// Each within half a unit in the last place of bf16, 2^-8 of itself, and what the order of the sums makes of it.
void expect_rounded_once(const std::vector<bf16>& result, const std::vector<float>& exact, const std::string& what) {
  ASSERT_EQ(result.size(), exact.size()) << what;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    ASSERT_NEAR(to_float(result[i]), exact[i], 0x1p-8 * std::abs(exact[i]) + 1e-5) << what << " at " << i;
  }
}

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

TEST_F(CudaMatMul, SumsOfBf16AreRoundedOnce) {
  const Shape y{6, 8}, a{6, 40}, b{40, 8}, bias{8};
  const auto stored_a = rounded(normal_floats(240, 1));
  const auto stored_b = rounded(normal_floats(320, 2));
  const auto stored_bias = rounded(normal_floats(8, 3));
  const auto exact =
      on_cpu({y, a, b, bias}, {std::vector<float>(48), widened(stored_a), widened(stored_b), widened(stored_bias)},
             [&](const std::vector<TensorView>& v) { return cpu::prepare_matmul(v[0], v[1], v[2], v[3], {}); });
  auto* const result = allocate_elems<bf16>(48);
  cuda::prepare_matmul({result, DataType::bf16, y}, {upload(stored_a), DataType::bf16, a},
                       {upload(stored_b), DataType::bf16, b}, {upload(stored_bias), DataType::bf16, bias}, {},
                       queue())();
  expect_rounded_once(download(result, 48), exact, "bf16 product");
  auto* const wide = allocate_elems<float>(48);
  cuda::prepare_matmul({wide, DataType::f32, y}, {upload(stored_a), DataType::bf16, a},
                       {upload(stored_b), DataType::bf16, b}, {upload(widened(stored_bias)), DataType::f32, bias}, {},
                       queue())();
  expect_near(download(wide, 48), exact, 1e-5, "f32 product of bf16");
}

// Rows of 12 elements are no operand of cublasLt's GELU: there a kernel of its own follows the product.
TEST_F(CudaMatMul, GeluEqualsTheCpu) {
  constexpr std::int64_t kRows = 10, kDepth = 7;
  for (const std::int64_t width : {16, 12}) {
    const Shape wide{kRows, width}, narrow{kRows, kDepth}, w{kDepth, width};
    const std::vector<float> empty(static_cast<std::size_t>(kRows * width));
    for (const bool wants_pre : {false, true}) {  // the first view is compared
      const std::vector<Shape> shapes = {wide, wide, narrow, w, Shape{width}};
      const std::vector<std::vector<float>> values = {empty, empty, normal_floats(kRows * kDepth, 1),
                                                      normal_floats(kDepth * width, 2), normal_floats(width, 3)};
      const auto [y, pre] =
          wants_pre ? std::pair<std::size_t, std::size_t>(1, 0) : std::pair<std::size_t, std::size_t>(0, 1);
      const auto expected = on_cpu(shapes, values, [&, y = y, pre = pre](const std::vector<TensorView>& v) {
        return cpu::prepare_linear_gelu(v[y], v[pre], v[2], v[3], v[4], {});
      });
      const auto result = on_device(shapes, values, [&, y = y, pre = pre](const std::vector<TensorView>& v) {
        return cuda::prepare_linear_gelu(v[y], v[pre], v[2], v[3], v[4], {}, queue());
      });
      expect_near(result, expected, 1e-5, "GELU of rows of " + std::to_string(width));
    }
    const std::vector<Shape> shapes = {wide, narrow, Shape{width, kDepth}, wide};
    const std::vector<std::vector<float>> values = {empty, normal_floats(kRows * kDepth, 1),
                                                    normal_floats(kDepth * width, 2), normal_floats(kRows * width, 3)};
    const MatMulOptions options{.trans_b = true};
    const auto expected = on_cpu(shapes, values, [&](const std::vector<TensorView>& v) {
      return cpu::prepare_linear_gelu_grad(v[0], v[1], v[2], v[3], options);
    });
    const auto result = on_device(shapes, values, [&](const std::vector<TensorView>& v) {
      return cuda::prepare_linear_gelu_grad(v[0], v[1], v[2], v[3], options, queue());
    });
    expect_near(result, expected, 1e-5, "GELU's gradient of rows of " + std::to_string(width));
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

TEST_F(CudaConv, SumsOfBf16AreRoundedOnce) {
  const ConvCase& c = kConvCases[1];
  const std::int64_t n = c.y.num_elements();
  const auto x = rounded(normal_floats(c.x.num_elements(), 2));
  const auto w = rounded(normal_floats(c.w.num_elements(), 3));
  const auto bias = rounded(normal_floats(c.w[0], 4));
  const auto exact =
      on_cpu({c.y, c.x, c.w, {c.w[0]}},
             {std::vector<float>(static_cast<std::size_t>(n)), widened(x), widened(w), widened(bias)},
             [&](const std::vector<TensorView>& v) { return cpu::prepare_conv(v[0], v[1], v[2], v[3], c.options); });
  auto* const y = allocate_elems<bf16>(n);
  cuda::prepare_conv({y, DataType::bf16, c.y}, {upload(x), DataType::bf16, c.x}, {upload(w), DataType::bf16, c.w},
                     {upload(bias), DataType::bf16, {c.w[0]}}, c.options, queue())();
  expect_rounded_once(download(y, n), exact, "bf16 convolution");
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
