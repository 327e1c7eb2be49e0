#include "kernels/gather.h"

#include <stdexcept>

#include "tests/kernels/isa_fixture.h"

namespace dml {
namespace {

using testing::expect_close;
using testing::Guarded;
using testing::normal;
using testing::on_any_threads;

struct GatherCase {
  GatherShape shape;
  std::string text() const {
    return std::to_string(shape.outer) + "x" + std::to_string(shape.rows) + "x" + std::to_string(shape.inner) + " by " +
           std::to_string(shape.indices);
  }
};

const std::vector<GatherCase> kGatherCases = {
    {{1, 5, 3, 4, {}}},      {{3, 7, 1, 9, {}}},         {{1, 257, 130, 1000, {}}},
    {{2, 4, 65, 11, 0, 12}}, {{1, 10, 64, 333, 20, 50}}, {{1, 3, 1, 0, {}}},
};

std::vector<std::int64_t> indices_of(const GatherShape& shape) {
  std::mt19937 generator(5);
  const std::int64_t rows = shape.rows_to_index();
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 0; i < shape.indices; ++i) {
    indices.push_back(static_cast<std::int64_t>(generator() % static_cast<unsigned>(2 * rows)) - rows);
  }
  return indices;
}

std::int64_t row_of(const GatherShape& shape, std::int64_t index) {
  const std::int64_t row = (index < 0 ? index + shape.rows_to_index() : index) - shape.offset.value_or(0);
  return row >= 0 && row < shape.rows ? row : -1;
}

TEST(Gather, TakesRows) {
  for (const GatherCase& c : kGatherCases) {
    const GatherShape& s = c.shape;
    const auto x = normal(s.outer * s.rows * s.inner, 1);
    const auto indices = indices_of(s);
    const std::vector<std::int32_t> narrow(indices.begin(), indices.end());
    Guarded<float> y(s.outer * s.indices * s.inner), z(s.outer * s.indices * s.inner);
    cpu::gather(y.data(), x.data(), indices.data(), s, 4);
    cpu::gather(z.data(), x.data(), narrow.data(), s, 4);
    for (std::int64_t i = 0; i < y.size(); ++i) {
      const std::int64_t row = row_of(s, indices[static_cast<std::size_t>(i / s.inner % s.indices)]);
      const std::int64_t outer = i / s.inner / s.indices;
      ASSERT_EQ(y[i], row < 0 ? 0.0f : x[(outer * s.rows + row) * s.inner + i % s.inner]) << c.text();
    }
    EXPECT_TRUE(y == z && y.intact());
  }
}

TEST(Gather, GradientSumsInTheOrderOfTheIndices) {
  for (const GatherCase& c : kGatherCases) {
    const GatherShape& s = c.shape;
    const auto dy = normal(s.outer * s.indices * s.inner, 2);
    const auto indices = indices_of(s);
    std::vector<double> wanted(static_cast<std::size_t>(s.outer * s.rows * s.inner));
    for (std::int64_t i = 0; i < dy.size(); ++i) {
      const std::int64_t row = row_of(s, indices[static_cast<std::size_t>(i / s.inner % s.indices)]);
      const std::int64_t outer = i / s.inner / s.indices;
      if (row < 0) continue;
      wanted[static_cast<std::size_t>((outer * s.rows + row) * s.inner + i % s.inner)] += static_cast<double>(dy[i]);
    }
    const auto dx = on_any_threads<float>(
        [&] {
          Guarded<float> out(s.outer * s.rows * s.inner, 5.0f);
          cpu::gather_grad(out.data(), dy.data(), indices.data(), s);
          return out;
        },
        "gather_grad");
    expect_close(dx, wanted, 1e-5, 1e-6, "gather_grad " + c.text());
  }
}

TEST(Gather, IndicesOutOfRangeAreNamed) {
  const GatherShape shape{1, 3, 1, 2, {}};
  const float x[3] = {1, 2, 3};
  float y[2];
  for (const std::int64_t wrong : {3, -4}) {
    const std::int64_t indices[2] = {0, wrong};
    try {
      cpu::gather(y, x, indices, shape, 4);
      FAIL();
    } catch (const std::invalid_argument& error) {
      EXPECT_NE(std::string(error.what()).find("index " + std::to_string(wrong) + " at position 1"), std::string::npos)
          << error.what();
    }
  }
}

}  // namespace
}  // namespace dml
