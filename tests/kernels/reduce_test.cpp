#include "kernels/reduce.h"

#include <numeric>

#include "tests/kernels/isa_fixture.h"

namespace dml {
namespace {

using testing::expect_close;
using testing::Guarded;
using testing::normal;
using testing::on_any_threads;

struct ReduceCase {
  Shape shape;
  std::vector<std::int64_t> axes;
};

const std::vector<ReduceCase>& reduce_cases() {
  static const std::vector<ReduceCase> all = {
      {{}, {}},
      {{5}, {0}},
      {{5}, {}},
      {{3, 7}, {0}},
      {{3, 7}, {-1}},
      {{3, 7}, {0, 1}},
      {{2, 3, 5}, {1}},
      {{2, 3, 5}, {0, 2}},
      {{4, 3, 5, 7}, {0, 2}},
      {{4, 3, 5, 7}, {1, 3}},
      {{4, 3, 5, 7}, {2, 3}},
      {{2, 3, 2, 3, 2, 3}, {0, 2, 4}},
      {{2, 3, 2, 3, 2, 3}, {1, 3, 5}},
      {{1000, 10}, {0}},
      {{2048, 256}, {0}},
      {{700, 2500}, {0}},
      {{300001}, {0}},
      {{3, 50000}, {1}},
      {{40, 3, 700}, {0, 2}},
      {{0, 4}, {0}},
  };
  return all;
}

/// Row-major index into the kept dims.
std::int64_t kept_index(const Shape& shape, const std::vector<bool>& reduced, std::int64_t index) {
  std::int64_t kept = 0, stride = 1;
  for (int dim = shape.rank() - 1; dim >= 0; --dim) {
    const std::int64_t i = index % shape[dim];
    index /= shape[dim];
    if (reduced[static_cast<std::size_t>(dim)]) continue;
    kept += i * stride;
    stride *= shape[dim];
  }
  return kept;
}

std::vector<double> reference_of(const Guarded<float>& x, const Shape& shape, const std::vector<bool>& reduced,
                                 double factor) {
  std::int64_t kept = 1;
  for (int dim = 0; dim < shape.rank(); ++dim) kept *= reduced[static_cast<std::size_t>(dim)] ? 1 : shape[dim];
  std::vector<double> sums(static_cast<std::size_t>(kept));
  for (std::int64_t i = 0; i < x.size(); ++i) {
    sums[static_cast<std::size_t>(kept_index(shape, reduced, i))] += factor * static_cast<double>(x[i]);
  }
  return sums;
}

class Reduce : public testing::IsaTest {};

TEST_P(Reduce, SumsAnyDims) {
  for (const ReduceCase& c : reduce_cases()) {
    const auto x = normal(c.shape.num_elements(), 1);
    std::vector<bool> reduced(static_cast<std::size_t>(c.shape.rank()));
    for (const std::int64_t axis : c.axes) reduced[static_cast<std::size_t>(c.shape.normalize(axis))] = true;
    const auto wanted = reference_of(x, c.shape, reduced, 0.25);
    const std::string what = "sum of " + c.shape.to_string() + " over " + std::to_string(c.axes.size()) + " dims";
    const auto y = on_any_threads<float>(
        [&] {
          Guarded<float> out(static_cast<std::int64_t>(wanted.size()));
          cpu::reduce_sum(out.data(), x.data(), plan_reduce(c.shape, c.axes), 0.25);
          return out;
        },
        what);
    expect_close(y, wanted, 2e-5, 1e-6, what);  // runs of 32 in float: 32 · 4 · 6e-8
  }
}

TEST_P(Reduce, SumToUndoesABroadcast) {
  const Shape x_shape{4, 3, 5, 7};
  const auto x = normal(x_shape.num_elements(), 2);
  for (const Shape& y_shape : {Shape{7}, Shape{5, 1}, Shape{3, 1, 7}, Shape{}, Shape{1, 1, 1, 1}, x_shape}) {
    std::vector<bool> reduced(4, true);
    for (int dim = 0; dim < y_shape.rank(); ++dim) {
      const int in_x = dim + 4 - y_shape.rank();
      reduced[static_cast<std::size_t>(in_x)] = y_shape[dim] != x_shape[in_x];
    }
    Guarded<float> y(y_shape.num_elements());
    cpu::reduce_sum(y.data(), x.data(), plan_sum_to(y_shape, x_shape), 1.0);
    expect_close(y, reference_of(x, x_shape, reduced, 1.0), 2e-5, 1e-6, "sum to " + y_shape.to_string());
  }
}

TEST(ReducePlan, ShapesThatDoNotFitAreNamed) {
  EXPECT_THROW(plan_sum_to(Shape{4}, Shape{3, 5}), std::invalid_argument);
  EXPECT_THROW(plan_sum_to(Shape{3, 5}, Shape{5}), std::invalid_argument);
  EXPECT_THROW(plan_reduce(Shape{3}, std::vector<std::int64_t>{1}), std::invalid_argument);
}

DML_INSTANTIATE_ISA(Reduce);

}  // namespace
}  // namespace dml
