// Shards against a gather element by element.
#include "parallel/tensor/sharding.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "tests/parallel/tensor/lockstep.h"

namespace dml::test {
namespace {

struct Draw {
  Shape shape;
  Sharding sharding;
};

Draw draw(std::mt19937& generator) {
  const auto below = [&](std::int64_t n) {
    return static_cast<std::int64_t>(generator() % static_cast<std::uint64_t>(n));
  };
  const int rank = 1 + static_cast<int>(below(4));
  const int dim = static_cast<int>(below(rank));
  const Sharding sharding = Sharding::shard(dim, 1 + below(3), 1 + below(7), 1 + below(4));
  Shape shape;
  for (int i = 0; i < rank; ++i) shape.push_back(i == dim ? sharding.extent() : 1 + below(4));
  return {shape, below(8) == 0 ? Sharding::replicate() : sharding};
}

Tensor64 numbered(const Shape& shape) {
  Tensor64 tensor = Tensor64::zeros(shape);
  std::iota(tensor.elements.begin(), tensor.elements.end(), 0.0);
  return tensor;
}

TEST(Sharding, RunsAreTheElementsOfTheShard) {
  std::mt19937 generator(3);
  for (int round = 0; round < 300; ++round) {
    const Draw d = draw(generator);
    const Tensor64 whole = numbered(d.shape);
    for (const int size : {1, 2, 3, 4, 5}) {
      std::vector<int> owners(whole.elements.size(), 0);
      for (int rank = 0; rank < size; ++rank) {
        const Tensor64 wanted = part_of(whole, d.sharding, {rank, size});
        EXPECT_EQ(local_shape(d.shape, d.sharding, {rank, size}), wanted.shape);
        std::int64_t next = 0;
        for (const ShardRun& run : shard_runs(d.shape, d.sharding, {rank, size})) {
          ASSERT_EQ(run.local_begin, next);
          for (std::int64_t i = 0; i < run.count; ++i, ++next) {
            ASSERT_EQ(static_cast<double>(run.global_begin + i), wanted.elements.at(static_cast<std::size_t>(next)))
                << d.shape.to_string() << " " << d.sharding.to_string() << " rank " << rank << " of " << size;
            ++owners[static_cast<std::size_t>(run.global_begin + i)];
          }
        }
        ASSERT_EQ(next, wanted.shape.num_elements());
      }
      const int expected = d.sharding.is_shard() ? 1 : size;
      for (const int count : owners) ASSERT_EQ(count, expected) << d.sharding.to_string() << " of " << size;
    }
  }
}

TEST(Sharding, ReadsTheElementsOfTheShard) {
  std::mt19937 generator(4);
  for (int round = 0; round < 300; ++round) {
    const Draw d = draw(generator);
    const Tensor64 whole = numbered(d.shape);
    const auto source = make_source(d.shape, std::vector<float>(whole.elements.begin(), whole.elements.end()));
    for (const int size : {1, 2, 3, 4, 5}) {
      for (int rank = 0; rank < size; ++rank) {
        const Tensor64 wanted = part_of(whole, d.sharding, {rank, size});
        constexpr float kGuard = -7;
        std::vector<float> found(wanted.elements.size() + 1, kGuard);
        read_shard(found.data(), *source, {"w", d.shape, d.sharding}, {rank, size});
        EXPECT_EQ(found.back(), kGuard);
        found.pop_back();
        ASSERT_EQ(std::vector<double>(found.begin(), found.end()), wanted.elements)
            << d.shape.to_string() << " " << d.sharding.to_string() << " rank " << rank << " of " << size;
      }
    }
  }
}

TEST(Sharding, HasAText) {
  EXPECT_EQ(Sharding::replicate().to_string(), "replicate");
  EXPECT_EQ(Sharding::partial().to_string(), "partial");
  EXPECT_EQ(Sharding::shard(2, 3, 4, 16).to_string(), "shard(2: 3x4x16)");
}

}  // namespace
}  // namespace dml::test
