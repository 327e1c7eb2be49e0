#include "kernels/elementwise.h"

#include <array>

#include "tests/kernels/isa_fixture.h"

namespace dml {
namespace {

using testing::expect_close;
using testing::Guarded;
using testing::normal;
using testing::on_any_threads;

/// The element of `operand` that meets element `index` of `result`.
std::int64_t source_of(const Shape& result, const Shape& operand, std::int64_t index) {
  const auto strides = strides_of(operand);
  std::int64_t offset = 0;
  for (int dim = result.rank() - 1; dim >= 0; --dim) {
    const int own = dim - (result.rank() - operand.rank());
    if (own >= 0 && operand[own] != 1) offset += index % result[dim] * strides[static_cast<std::size_t>(own)];
    index /= result[dim];
  }
  return offset;
}

struct ElementwiseCase {
  Shape a, b;
};

const std::vector<ElementwiseCase>& elementwise_cases() {
  static const std::vector<ElementwiseCase> all = {
      {{}, {}},
      {{1}, {1}},
      {{7}, {7}},
      {{3, 5}, {3, 5}},
      {{3, 5}, {}},
      {{}, {3, 5}},
      {{13, 33}, {33}},
      {{13, 33}, {13, 1}},
      {{33}, {13, 33}},
      {{13, 1}, {1, 33}},
      {{2, 3, 4, 5}, {3, 1, 5}},
      {{2, 1, 4, 1}, {3, 1, 5}},
      {{4, 1, 6}, {1, 5, 1}},
      {{0, 5}, {5}},
      {{301, 257}, {301, 257}},
      {{301, 257}, {257}},
      {{4, 301, 67}, {301, 1}},
      {{70001}, {1}},
      {{30011, 3}, {3}},
      {{2, 2, 2, 2, 2, 2, 2, 3}, {2, 1, 2, 1, 2, 1, 2, 1}},
  };
  return all;
}

class Elementwise : public testing::IsaTest {};

double reference_of(BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::add: return a + b;
    case BinaryOp::sub: return a - b;
    case BinaryOp::mul: return a * b;
    case BinaryOp::div: return a / b;
    case BinaryOp::pow: return std::pow(a, b);
  }
  return 0;
}

TEST_P(Elementwise, BinaryEqualsTheReferenceForEveryBroadcast) {
  for (const ElementwiseCase& c : elementwise_cases()) {
    const Shape y_shape = broadcast(c.a, c.b);
    const auto plan = plan_broadcast(y_shape, std::array{c.a, c.b});
    auto a = normal(c.a.num_elements(), 1);
    auto b = normal(c.b.num_elements(), 2);
    for (const BinaryOp op : {BinaryOp::add, BinaryOp::sub, BinaryOp::mul, BinaryOp::div, BinaryOp::pow}) {
      if (op == BinaryOp::pow) {
        for (float& x : a) x = std::abs(x) + 0.1f;
      }
      const std::string what =
          "binary " + std::to_string(static_cast<int>(op)) + " of " + c.a.to_string() + " and " + c.b.to_string();
      const auto y = on_any_threads<float>(
          [&] {
            Guarded<float> out(y_shape.num_elements());
            cpu::binary(op, out.data(), a.data(), b.data(), plan);
            return out;
          },
          what);
      std::vector<double> wanted;
      for (std::int64_t i = 0; i < y_shape.num_elements(); ++i) {
        wanted.push_back(reference_of(op, static_cast<double>(a[source_of(y_shape, c.a, i)]),
                                      static_cast<double>(b[source_of(y_shape, c.b, i)])));
      }
      expect_close(y, wanted, 1e-37, 1.2e-7, what);  // one rounding, two for pow
    }
  }
}

TEST_P(Elementwise, ScalarPowersEqualTheReference) {
  const Shape shape{1, 1003};
  auto a = normal(1003, 3);
  for (float& x : a) x = std::abs(x) + 0.01f;
  const auto plan = plan_broadcast(shape, std::array{shape, Shape{}});
  for (const float exponent : {2.0f, 3.0f, 0.5f, -1.0f, -2.0f, 1.7f, 0.0f}) {
    Guarded<float> y(1003);
    cpu::binary(BinaryOp::pow, y.data(), a.data(), &exponent, plan);
    std::vector<double> wanted;
    for (const float x : a) wanted.push_back(std::pow(static_cast<double>(x), static_cast<double>(exponent)));
    expect_close(y, wanted, 0, 2e-7, "power " + std::to_string(exponent));
  }
}

TEST_P(Elementwise, IntegersAreExact) {
  const Shape a_shape{3, 1, 5}, b_shape{4, 1}, shape{3, 4, 5};
  const auto plan = plan_broadcast(shape, std::array{a_shape, b_shape});
  Guarded<std::int64_t> a(15), b(4), y(60);
  for (std::int64_t i = 0; i < 15; ++i) a[i] = i * 1000003 - 7;
  for (std::int64_t i = 0; i < 4; ++i) b[i] = i + 1;
  const auto check = [&](BinaryOp op, const auto& expected) {
    cpu::binary(op, y.data(), a.data(), b.data(), plan);
    for (std::int64_t i = 0; i < 60; ++i) {
      EXPECT_EQ(y[i], expected(a[source_of(shape, a_shape, i)], b[source_of(shape, b_shape, i)])) << i;
    }
  };
  check(BinaryOp::add, [](std::int64_t u, std::int64_t v) { return u + v; });
  check(BinaryOp::mul, [](std::int64_t u, std::int64_t v) { return u * v; });
  check(BinaryOp::div, [](std::int64_t u, std::int64_t v) { return u / v; });
  EXPECT_TRUE(y.intact());
}

TEST_P(Elementwise, ComparisonsAndLogicAreExact) {
  for (const ElementwiseCase& c : elementwise_cases()) {
    const Shape shape = broadcast(c.a, c.b);
    const auto plan = plan_broadcast(shape, std::array{c.a, c.b});
    auto a = normal(c.a.num_elements(), 4);
    auto b = normal(c.b.num_elements(), 5);
    for (float& x : a) x = std::round(x);
    for (float& x : b) x = std::round(x);
    Guarded<std::uint8_t> y(shape.num_elements());
    const auto check = [&](const auto& expected, const char* what) {
      for (std::int64_t i = 0; i < shape.num_elements(); ++i) {
        ASSERT_EQ(y[i] != 0, expected(a[source_of(shape, c.a, i)], b[source_of(shape, c.b, i)]))
            << what << " of " << c.a.to_string() << " and " << c.b.to_string() << " element " << i;
      }
      EXPECT_TRUE(y.intact());
    };
    cpu::compare(CompareOp::equal, y.data(), a.data(), b.data(), plan);
    check([](float u, float v) { return u == v; }, "equal");
    cpu::compare(CompareOp::less, y.data(), a.data(), b.data(), plan);
    check([](float u, float v) { return u < v; }, "less");
    cpu::compare(CompareOp::less_or_equal, y.data(), a.data(), b.data(), plan);
    check([](float u, float v) { return u <= v; }, "less_or_equal");
    cpu::compare(CompareOp::greater, y.data(), a.data(), b.data(), plan);
    check([](float u, float v) { return u > v; }, "greater");
    cpu::compare(CompareOp::greater_or_equal, y.data(), a.data(), b.data(), plan);
    check([](float u, float v) { return u >= v; }, "greater_or_equal");
  }
}

TEST_P(Elementwise, LogicOfBooleans) {
  const Shape shape{4};
  const auto plan = plan_broadcast(shape, std::array{shape, shape});
  const std::array<std::uint8_t, 4> a{0, 0, 1, 2}, b{0, 1, 0, 1};
  std::array<std::uint8_t, 4> y{};
  cpu::logical(LogicalOp::conjunction, y.data(), a.data(), b.data(), plan);
  EXPECT_EQ(y, (std::array<std::uint8_t, 4>{0, 0, 0, 1}));
  cpu::logical(LogicalOp::disjunction, y.data(), a.data(), b.data(), plan);
  EXPECT_EQ(y, (std::array<std::uint8_t, 4>{0, 1, 1, 1}));
  cpu::logical_not(y.data(), a.data(), 4);
  EXPECT_EQ(y, (std::array<std::uint8_t, 4>{1, 1, 0, 0}));
}

TEST_P(Elementwise, WhereChoosesByElement) {
  struct Where {
    Shape condition, a, b;
  };
  const std::vector<Where> all = {{{5, 7}, {5, 7}, {5, 7}}, {{7}, {5, 7}, {}},        {{5, 1}, {}, {7}},
                                  {{}, {5, 7}, {5, 7}},     {{3, 1, 7}, {5, 7}, {1}}, {{40001}, {40001}, {}}};
  for (const auto& c : all) {
    const Shape shape = broadcast(broadcast(c.condition, c.a), c.b);
    const auto plan = plan_broadcast(shape, std::array{c.condition, c.a, c.b});
    const auto a = normal(c.a.num_elements(), 6);
    const auto b = normal(c.b.num_elements(), 7);
    Guarded<std::uint8_t> condition(c.condition.num_elements());
    for (std::int64_t i = 0; i < condition.size(); ++i) condition[i] = i % 3 == 0;
    Guarded<float> y(shape.num_elements());
    cpu::where(y.data(), condition.data(), a.data(), b.data(), plan);
    for (std::int64_t i = 0; i < shape.num_elements(); ++i) {
      const bool first = condition[source_of(shape, c.condition, i)] != 0;
      ASSERT_EQ(y[i], first ? a[source_of(shape, c.a, i)] : b[source_of(shape, c.b, i)]) << shape.to_string();
    }
    EXPECT_TRUE(y.intact());
  }
}

TEST(Broadcast, ShapesThatDoNotFitAreNamed) {
  EXPECT_THROW(plan_broadcast(Shape{3, 5}, std::array{Shape{4}}), std::invalid_argument);
  EXPECT_THROW(plan_broadcast(Shape{5}, std::array{Shape{3, 5}}), std::invalid_argument);
}

DML_INSTANTIATE_ISA(Elementwise);

}  // namespace
}  // namespace dml
