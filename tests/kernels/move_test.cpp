#include "kernels/move.h"

#include <numeric>

#include "tests/kernels/isa_fixture.h"

namespace dml {
namespace {

using testing::Guarded;

template <typename T>
Guarded<T> counting(std::int64_t n) {
  Guarded<T> x(n);
  for (std::int64_t i = 0; i < n; ++i) x[i] = static_cast<T>(i + 1);
  return x;
}

/// Index of each dim, of a row-major index.
std::array<std::int64_t, Shape::kMaxRank> unravel(const Shape& shape, std::int64_t index) {
  std::array<std::int64_t, Shape::kMaxRank> indices{};
  for (int dim = shape.rank() - 1; dim >= 0; --dim) {
    indices[static_cast<std::size_t>(dim)] = index % shape[dim];
    index /= shape[dim];
  }
  return indices;
}

template <typename T>
void check_transpose(const Shape& x_shape, const std::vector<std::int64_t>& perm) {
  const auto x = counting<T>(x_shape.num_elements());
  Guarded<T> y(x.size());
  Shape y_shape;
  for (const std::int64_t dim : perm) y_shape.push_back(x_shape[static_cast<int>(dim)]);
  cpu::transpose(y.data(), x.data(), plan_transpose(x_shape, perm), sizeof(T));
  const auto strides = strides_of(x_shape);
  for (std::int64_t i = 0; i < y.size(); ++i) {
    const auto at = unravel(y_shape, i);
    std::int64_t from = 0;
    for (std::size_t dim = 0; dim < perm.size(); ++dim) from += at[dim] * strides[static_cast<std::size_t>(perm[dim])];
    ASSERT_EQ(y[i], x[from]) << x_shape.to_string() << " element " << i << " of size " << sizeof(T);
  }
  EXPECT_TRUE(y.intact());
}

TEST(Transpose, EveryOrderOfDims) {
  for (const Shape& shape : {Shape{2, 3, 4, 5}, Shape{17, 1, 33, 2}, Shape{1, 1, 1, 1}, Shape{3, 0, 2, 2}}) {
    std::vector<std::int64_t> perm = {0, 1, 2, 3};
    do {
      check_transpose<std::uint32_t>(shape, perm);
      check_transpose<std::uint8_t>(shape, perm);
      check_transpose<std::uint64_t>(shape, perm);
      check_transpose<std::uint16_t>(shape, perm);
    } while (std::next_permutation(perm.begin(), perm.end()));
  }
}

TEST(Transpose, LargeAndScalar) {
  check_transpose<std::uint32_t>({301, 257}, {1, 0});
  check_transpose<std::uint32_t>({4, 65, 8, 32}, {0, 2, 1, 3});
  check_transpose<std::uint32_t>({}, {});
}

TEST(Transpose, PermutationsAreChecked) {
  EXPECT_THROW(plan_transpose(Shape{2, 3}, std::vector<std::int64_t>{0, 0}), std::invalid_argument);
  EXPECT_THROW(plan_transpose(Shape{2, 3}, std::vector<std::int64_t>{0}), std::invalid_argument);
}

TEST(Move, ExpandBroadcasts) {
  const Shape x_shape{3, 1, 5}, y_shape{2, 3, 4, 5};
  const auto x = counting<float>(15);
  Guarded<float> y(120);
  cpu::expand(y.data(), x.data(), plan_broadcast(y_shape, std::array{x_shape}), 4);
  for (std::int64_t i = 0; i < 120; ++i) EXPECT_EQ(y[i], x[i / 20 % 3 * 5 + i % 5]);
  const float scalar = 7;
  cpu::expand(y.data(), &scalar, plan_broadcast(y_shape, std::array{Shape{}}), 4);
  for (std::int64_t i = 0; i < 120; ++i) EXPECT_EQ(y[i], 7);
  EXPECT_TRUE(y.intact());
}

struct SliceCase {
  Shape shape;
  int axis;
  std::int64_t start, step, n;
};

TEST(Move, SliceAndItsGradient) {
  for (const SliceCase& c :
       {SliceCase{{4, 10, 3}, 1, 2, 1, 5}, SliceCase{{4, 10, 3}, 1, 1, 3, 3}, SliceCase{{4, 10, 3}, 1, 9, -2, 5},
        SliceCase{{4, 10, 3}, 2, 2, -1, 3}, SliceCase{{4, 10, 3}, 0, 0, 1, 4}, SliceCase{{4, 10, 3}, 0, 1, 1, 0}}) {
    auto x = counting<float>(c.shape.num_elements());
    Shape y_shape = c.shape;
    y_shape[c.axis] = c.n;
    Guarded<float> y(y_shape.num_elements()), dx(x.size(), 9.0f);
    cpu::slice(view(y, y_shape), view(x, c.shape), c.axis, c.start, c.step);
    cpu::slice_grad(view(dx, c.shape), view(y, y_shape), c.axis, c.start, c.step);
    const auto strides = strides_of(c.shape);
    std::vector<float> expected(static_cast<std::size_t>(x.size()));
    for (std::int64_t i = 0; i < y.size(); ++i) {
      auto at = unravel(y_shape, i);
      at[static_cast<std::size_t>(c.axis)] = c.start + at[static_cast<std::size_t>(c.axis)] * c.step;
      std::int64_t from = 0;
      for (std::size_t dim = 0; dim < 3; ++dim) from += at[dim] * strides[dim];
      EXPECT_EQ(y[i], x[from]);
      expected[static_cast<std::size_t>(from)] = x[from];
    }
    EXPECT_EQ(std::vector<float>(dx.begin(), dx.end()), expected);
    EXPECT_TRUE(y.intact() && dx.intact());
  }
}

TEST(Move, ConcatAndSplitAreInverse) {
  for (int axis = 0; axis < 3; ++axis) {
    const Shape whole{6, 6, 6};
    auto x = counting<float>(216);
    std::vector<Guarded<float>> parts;
    std::vector<TensorView> views;
    for (const std::int64_t extent : {1, 0, 3, 2}) {
      Shape shape = whole;
      shape[axis] = extent;
      parts.emplace_back(shape.num_elements());
      views.push_back(view(parts.back(), shape));
    }
    for (std::size_t i = 0; i < parts.size(); ++i) views[i].data = parts[i].data();
    cpu::split(views, view(x, whole), axis);
    Guarded<float> y(216);
    cpu::concat(view(y, whole), views, axis);
    EXPECT_TRUE(y == x) << axis;
    EXPECT_EQ(parts[2][0], x[strides_of(whole)[static_cast<std::size_t>(axis)]]);
    for (const auto& part : parts) EXPECT_TRUE(part.intact());
  }
}

TEST(Move, ShardsAreCutAndMerged) {
  // Packed projections: 3 blocks of 5 heads of 4, split over 2 and over 3 ranks.
  const ShardedDim sharded{1, 3, 5, 4};
  const Shape whole{7, 60, 2};
  auto x = counting<float>(whole.num_elements());
  for (const std::int64_t parts : {1, 2, 3, 8}) {
    Guarded<float> flat(x.size()), y(x.size());
    std::int64_t done = 0;
    for (std::int64_t part = 0; part < parts; ++part) {
      const std::int64_t begin = part_begin(5, parts, part), end = part_begin(5, parts, part + 1);
      const Shape shape{7, 3 * (end - begin) * 4, 2};
      cpu::shard_slice({flat.data() + done, DataType::f32, shape}, view(x, whole), sharded, begin, end);
      if (end > begin) {
        EXPECT_EQ(flat[done], x[begin * 8]);
        EXPECT_EQ(flat[done + (end - begin) * 8], x[(5 + begin) * 8]);
      }
      done += shape.num_elements();
    }
    EXPECT_EQ(done, x.size());
    cpu::shard_merge(view(y, whole), view(flat, Shape{x.size()}), sharded, parts);
    EXPECT_TRUE(y == x) << parts;
  }
}

}  // namespace
}  // namespace dml
