// How values travel between stages, which nodes live, and how a rank's parameters lie in its flat buffers.
#include <gtest/gtest.h>

#include <algorithm>

#include "kernels/error.h"
#include "parallel/build_tasks.h"
#include "parallel/pipeline/cut.h"
#include "tests/parallel/training_graphs.h"

namespace dml::test {
namespace {

SplitGraph undivided(const Graph& graph) {
  return split_graph(graph, plan_split(graph, 1, SplitMode::megatron), {0, 1});
}

std::vector<std::string> names(const Graph& graph, std::span<const ValueId> values) {
  std::vector<std::string> result;
  for (const ValueId id : values) result.push_back(graph.value(id).name);
  return result;
}

/// x -> a -> b -> c = b + a, each with a weight; cut into as many stages as there are.
struct Skip {
  SmallGraph g;
  Graph graph;
  std::vector<int> stages;

  Skip() {
    const ValueId x = g.input("x", {2, 4});
    const ValueId a = g.graph.add("MatMul", {x, g.parameter("w", {4, 4})}, {}, "a");
    const ValueId b = g.graph.add("MatMul", {a, g.parameter("v", {4, 4})}, {}, "b");
    const ValueId c = g.graph.add("Mul", {b, a}, {}, "c");
    g.graph.output = g.graph.add("MatMul", {c, g.parameter("u", {4, 3})}, {}, "y");
    graph = with_gradients(g.graph, "mse");
    stages = cut_stages(graph, 4, std::vector<std::string>{"a", "b", "c"});
  }
};

TEST(StageMap, CarriesWhatSkipsStages) {
  const Skip skip;
  const SplitGraph split = undivided(skip.graph);
  const StageMap map(split, skip.stages, 4, false);
  using Names = std::vector<std::string>;
  EXPECT_EQ(names(split.graph, map.down(0)), (Names{"a"}));
  EXPECT_EQ(names(split.graph, map.down(1)), (Names{"a", "b"}));
  EXPECT_EQ(names(split.graph, map.down(2)), (Names{"c"}));
  EXPECT_TRUE(map.down(3).empty());
  EXPECT_TRUE(map.up(0).empty());
  // The gradient of a has two addends: one of the stage of b, one of that of c, which passes through.
  EXPECT_EQ(map.up(3).size(), 1U);
  EXPECT_EQ(map.up(2).size(), 2U);
  EXPECT_EQ(map.up(1).size(), 1U);
}

TEST(StageMap, SaysWhatLives) {
  const Skip skip;
  const SplitGraph split = undivided(skip.graph);
  const StageMap map(split, skip.stages, 4, false);
  std::size_t count = 0;
  for (int stage = 0; stage < 4; ++stage) {
    EXPECT_TRUE(std::is_sorted(map.nodes(stage).begin(), map.nodes(stage).end()));
    for (const NodeId id : map.nodes(stage)) {
      EXPECT_TRUE(map.lives(id));
      EXPECT_EQ(skip.stages[static_cast<std::size_t>(id)], stage);
    }
    count += map.nodes(stage).size();
  }
  EXPECT_EQ(count, static_cast<std::size_t>(split.graph.num_nodes()));
}

TEST(StageMap, LeavesSumsOfWeightGradientsToTheFlatBuffer) {
  const Graph graph = zoo_graph("gpt:layers=1,width=8,heads=2,seq=4,vocab=7,tied=1", 2);
  const SplitGraph split = undivided(graph);
  const std::vector<int> stages = cut_stages(graph, 3, {});
  const StageMap map(split, stages, 3, false);
  const ValueId table = graph.find_value("tok.weight");
  ASSERT_NE(table, kNone);
  EXPECT_EQ(map.addends(table).size(), 2U);
  for (const ValueId addend : map.addends(table)) EXPECT_EQ(map.addend_of(addend), table);
  EXPECT_FALSE(map.lives(split.graph.value(split.graph.gradient_of.at(table)).producer));
}

// A value can be an addend of two gradients, or of one twice: dh is that in h = u + v.
TEST(StageMap, EveryAddendHasOneParameter) {
  SmallGraph g;
  const ValueId x = g.input("x", {2, 4});
  const ValueId u = g.parameter("u", {4, 4});
  const ValueId v = g.parameter("v", {4, 4});
  const ValueId h = g.add("Add", {u, v});
  const ValueId both = g.add("Add", {g.add("MatMul", {x, h}), g.add("MatMul", {x, u})});
  const ValueId twice = g.add("Add", {v, v});
  g.graph.output = g.add("MatMul", {both, twice});
  const Graph graph = with_gradients(std::move(g.graph), "mse");
  const SplitGraph split = undivided(graph);
  const std::vector<int> stages(static_cast<std::size_t>(graph.num_nodes()), 0);
  const StageMap map(split, stages, 1, false);
  std::vector<ValueId> all;
  for (const ValueId parameter : {u, v}) {
    for (const ValueId addend : map.addends(parameter)) {
      EXPECT_EQ(map.addend_of(addend), parameter) << graph.value(addend).name;
      EXPECT_TRUE(map.lives(graph.value(addend).producer));
      all.push_back(addend);
    }
  }
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end()) << "an addend counts twice";
}

FlatLayout layout_of(const Graph& graph, const std::vector<int>& stages, const std::vector<int>& own,
                     std::int64_t bucket_bytes) {
  const auto decays = [](const std::string& name) { return name.find("bias") == std::string::npos; };
  const SplitGraph split = undivided(graph);
  return flat_layout(split, ParameterUses(split, stages), own, {0, 1}, bucket_bytes, decays);
}

TEST(FlatLayout, HoldsEverySegmentOnceAlignedInBuckets) {
  const Graph graph = zoo_graph("gpt:layers=2,width=12,heads=3,seq=5,vocab=11", 2);
  const std::vector<int> stages(static_cast<std::size_t>(graph.num_nodes()), 0);
  for (const std::int64_t bytes : {1, 2000, 100'000'000}) {
    const FlatLayout layout = layout_of(graph, stages, {0}, bytes);
    ASSERT_EQ(layout.segments.size(), graph.gradient_of.size());
    std::int64_t end = 0;
    for (std::size_t i = 0; i < layout.segments.size(); ++i) {
      const Segment& segment = layout.segments[i];
      EXPECT_EQ(segment.begin % kSegmentAlignment, 0);
      EXPECT_EQ(segment.begin, (end + kSegmentAlignment - 1) / kSegmentAlignment * kSegmentAlignment);
      EXPECT_EQ(segment.count, graph.shape(segment.value).num_elements());
      EXPECT_EQ(segment.decays, segment.spec.name.find("bias") == std::string::npos);
      EXPECT_EQ(layout.find(segment.value), static_cast<int>(i));
      end = segment.begin + segment.count;
    }
    EXPECT_GE(layout.size, end);
    EXPECT_EQ(layout.find(graph.output), -1);
    int next = 0;
    for (const Bucket& bucket : layout.buckets) {
      EXPECT_EQ(bucket.first_segment, next);
      ASSERT_GT(bucket.num_segments, 0);
      const Segment& first = layout.segments[static_cast<std::size_t>(next)];
      next += bucket.num_segments;
      const Segment& last = layout.segments[static_cast<std::size_t>(next - 1)];
      EXPECT_EQ(bucket.begin, first.begin);
      EXPECT_EQ(bucket.begin + bucket.count, last.begin + last.count);
      EXPECT_LT(last.begin - first.begin, std::max<std::int64_t>(1, bytes / 4)) << "the last one makes it full";
    }
    EXPECT_EQ(next, static_cast<int>(layout.segments.size()));
    if (bytes == 1) {
      EXPECT_EQ(layout.buckets.size(), layout.segments.size());
    }
    if (bytes > 1'000'000) {
      EXPECT_EQ(layout.buckets.size(), 1U);
    }
  }
}

TEST(FlatLayout, IsInTheOrderInWhichGradientsEnd) {
  const Graph graph = zoo_graph("mlp:in=5,hidden=6x7,out=4", 2);
  const std::vector<int> stages(static_cast<std::size_t>(graph.num_nodes()), 0);
  std::vector<std::string> order;
  for (const Segment& segment : layout_of(graph, stages, {0}, 1).segments) order.push_back(segment.spec.name);
  ASSERT_EQ(order.size(), 6U);
  for (int layer = 2; layer >= 0; --layer) {
    for (int i = 0; i < 2; ++i) {
      const std::string& name = order[static_cast<std::size_t>((2 - layer) * 2 + i)];
      EXPECT_NE(name.find("layers." + std::to_string(layer)), std::string::npos) << name;
    }
  }
}

TEST(FlatLayout, SharedWeightsLieLastAndAlikeOnAllStages) {
  const Graph graph = zoo_graph("gpt:layers=2,width=12,heads=3,seq=5,vocab=11,tied=1", 2);
  const std::vector<int> stages = cut_stages(graph, 3, {});
  std::vector<FlatLayout> layouts;
  for (int stage = 0; stage < 3; ++stage) layouts.push_back(layout_of(graph, stages, {stage}, 1 << 20));
  for (const int stage : {0, 2}) {
    const Segment& last = layouts[static_cast<std::size_t>(stage)].segments.back();
    EXPECT_EQ(last.spec.name, "tok.weight");
    EXPECT_EQ(last.tied_stages, (std::vector<int>{0, 2}));
    EXPECT_EQ(layouts[static_cast<std::size_t>(stage)].buckets.back().num_segments, 1);
  }
  EXPECT_EQ(layouts[1].find(graph.find_value("tok.weight")), -1);
}

}  // namespace
}  // namespace dml::test
