// One divided graph stands for those of all microbatch sizes.
#include "parallel/sample_scale.h"

#include "kernels/error.h"
#include "tests/parallel/training_graphs.h"

namespace dml::test {
namespace {

SplitGraph split_of(const std::string& fixture, std::int64_t samples, TensorPlace place) {
  const Graph graph = fixture_graph(fixture, samples);
  return split_graph(graph, plan_split(graph, place.size, SplitMode::megatron), place);
}

void expect_same(const SplitGraph& a, const SplitGraph& b) {
  for (ValueId id = 0; id < a.graph.num_values(); ++id) {
    EXPECT_EQ(a.graph.shape(id), b.graph.shape(id)) << a.graph.value(id).name;
    EXPECT_EQ(a.shards[static_cast<std::size_t>(id)].global_shape, b.shards[static_cast<std::size_t>(id)].global_shape);
    EXPECT_EQ(a.shards[static_cast<std::size_t>(id)].sharding, b.shards[static_cast<std::size_t>(id)].sharding);
  }
  for (NodeId id = 0; id < a.graph.num_nodes(); ++id) {
    EXPECT_EQ(a.graph.node(id).attrs.all(), b.graph.node(id).attrs.all()) << a.graph.node(id).name;
  }
}

TEST(SampleScale, MakesTheGraphsOfOtherSizes) {
  for (const char* fixture : {"gpt_tiny.ts17", "gpt_sdpa.dynamo", "resnet_tiny.ts17"}) {
    for (const TensorPlace place : {TensorPlace{0, 1}, TensorPlace{1, 2}, TensorPlace{2, 3}}) {
      const std::vector<SplitGraph> sizes{split_of(fixture, 3, place), split_of(fixture, 4, place),
                                          split_of(fixture, 5, place)};
      const SampleScale scale = find_scale(sizes);
      ASSERT_EQ(scale.obstacle, "") << fixture;
      for (const std::int64_t samples : {1, 2, 7}) {
        expect_same(scaled(sizes[0], scale, samples - 3), split_of(fixture, samples, place));
      }
    }
  }
}

SplitGraph with_constant(std::vector<float> elements, std::int64_t rows) {
  SmallGraph g;
  const ValueId x = g.input("x", {rows, 2});
  g.graph.output = g.graph.add("Mul", {x, g.constant({2}, std::move(elements))}, {}, "y");
  const Graph graph = with_gradients(std::move(g.graph), "mse");
  return split_graph(graph, plan_split(graph, 1, SplitMode::megatron), {0, 1});
}

TEST(SampleScale, SaysWhyThereIsNone) {
  const std::vector<SplitGraph> contents{with_constant({1, 2}, 1), with_constant({1, 3}, 2), with_constant({1, 4}, 3)};
  EXPECT_NE(find_scale(contents).obstacle.find("constant"), std::string::npos);
  const std::vector<SplitGraph> uneven{with_constant({1, 2}, 1), with_constant({1, 2}, 2), with_constant({1, 2}, 4)};
  EXPECT_NE(find_scale(uneven).obstacle.find("evenly"), std::string::npos);
}

TEST(SampleScale, RefusesSlopesThatAreNone) {
  const SplitGraph split = with_constant({1, 2}, 2);
  EXPECT_THROW(scaled(split, {{{1'000'000, 1}}, ""}, 1), ModelError);
  EXPECT_THROW(scaled(split, {{{0, 5}}, ""}, -1), ModelError);
  EXPECT_THROW(scaled(split, {{{3, 1}, {2, 1}}, ""}, 1), ModelError);
}

}  // namespace
}  // namespace dml::test
