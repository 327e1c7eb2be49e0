// Who holds what: the placements that the two modes choose, and the collectives that they cost.
#include <gtest/gtest.h>

#include <algorithm>

#include "parallel/build_tasks.h"
#include "parallel/tensor/split.h"
#include "tests/parallel/training_graphs.h"

namespace dml::test {
namespace {

Sharding sharding_of(const Graph& graph, const SplitPlan& plan, const std::string& name) {
  const ValueId id = graph.find_value(name);
  if (id == kNone) throw std::invalid_argument("no value " + name);
  return plan.values[static_cast<std::size_t>(id)];
}

/// Nodes of an operation that run if the model's output is wanted or not.
std::vector<Node> running(const Graph& graph, const SplitPlan& plan, std::string_view op, bool needs_output) {
  const SplitGraph split = split_graph(graph, plan, {0, plan.size});
  const std::vector<int> stages(static_cast<std::size_t>(split.graph.num_nodes()), 0);
  const StageMap map(split, stages, 1, needs_output);
  std::vector<Node> nodes;
  for (const NodeId id : map.nodes(0)) {
    if (split.graph.node(id).op->name == op) nodes.push_back(split.graph.node(id));
  }
  return nodes;
}

/// For each matrix with a name that contains `part`, in order.
void expect_matrices(const Graph& graph, const SplitPlan& plan, const std::string& part, const Sharding& wanted,
                     int count) {
  int found = 0;
  for (const auto& [parameter, gradient] : graph.gradient_of) {
    const Value& value = graph.value(parameter);
    if (value.shape.rank() != 2 || value.name.find(part) == std::string::npos) continue;
    EXPECT_EQ(plan.values[static_cast<std::size_t>(parameter)].to_string(), wanted.to_string()) << value.name;
    ++found;
  }
  EXPECT_EQ(found, count) << part;
}

constexpr const char* kGpt = "gpt:layers=3,width=24,heads=4,seq=8,vocab=21";

TEST(PlanSplit, MegatronDividesTheGptsPairs) {
  const Graph graph = zoo_graph(kGpt, 2);
  for (const int size : {2, 3, 4}) {
    const SplitPlan plan = plan_split(graph, size, SplitMode::megatron);
    for (const char* projection : {"attn.q.", "attn.k.", "attn.v."}) {
      expect_matrices(graph, plan, projection, Sharding::shard(1, 1, 4, 6), 3);
    }
    expect_matrices(graph, plan, "attn.proj", Sharding::shard(0, 1, 4, 6), 3);
    expect_matrices(graph, plan, "mlp.up", Sharding::shard(1, 1, 96, 1), 3);
    expect_matrices(graph, plan, "mlp.down", Sharding::shard(0, 1, 96, 1), 3);
    expect_matrices(graph, plan, "tok", Sharding::shard(0, 1, 21, 1), 1);
    expect_matrices(graph, plan, "head", Sharding::shard(1, 1, 21, 1), 1);
    expect_matrices(graph, plan, "pos", Sharding::replicate(), 1);
    EXPECT_TRUE(plan.notes.empty());
  }
}

TEST(PlanSplit, MegatronSumsOncePerPairInEachDirection) {
  const Graph graph = zoo_graph(kGpt, 2);
  const SplitPlan plan = plan_split(graph, 2, SplitMode::megatron);
  int forward = 0;
  int backward = 0;
  for (const Node& node : running(graph, plan, "AllReduce", false))
    ++(node.phase == Phase::forward ? forward : backward);
  EXPECT_EQ(forward, 2 * 3 + 1);   // two pairs a layer, and the embedding
  EXPECT_EQ(backward, 2 * 3 + 1);  // two pairs a layer, and the head
}

TEST(PlanSplit, MegatronNeverGathersTheLogits) {
  for (const char* source : {kGpt, "gpt:layers=1,width=24,heads=4,seq=8,vocab=21,tied=1"}) {
    const Graph graph = zoo_graph(source, 2);
    const SplitPlan plan = plan_split(graph, 2, SplitMode::megatron);
    EXPECT_EQ(plan.values[static_cast<std::size_t>(graph.output)], Sharding::shard(2, 1, 21, 1));
    const std::vector<Node> gathers = running(graph, plan, "AllGather", false);
    ASSERT_EQ(gathers.size(), 1U) << source;
    EXPECT_EQ(gathers[0].attrs.integers("counts")[0], 2 * 8 * 3);  // three numbers a row for the cross entropy
    EXPECT_EQ(running(graph, plan, "AllGather", true).size(), 2U);
  }
}

TEST(PlanSplit, MegatronDividesFusedProjectionsByHeads) {
  const Graph graph = fixture_graph("gpt_tiny.ts17", 2);
  ASSERT_EQ(count_of(graph, "PackedAttention"), 2);
  const SplitPlan plan = plan_split(graph, 2, SplitMode::megatron);
  for (const Node& node : graph.nodes()) {
    if (node.op->name != "PackedAttention") continue;
    EXPECT_EQ(plan.values[static_cast<std::size_t>(node.inputs[0])], Sharding::shard(2, 3, 4, 16));
  }
  int fused = 0;
  for (const auto& [parameter, gradient] : graph.gradient_of) {
    const Sharding& s = plan.values[static_cast<std::size_t>(parameter)];
    fused += s.is_shard() && s.outer == 3 && s.units == 4 && s.inner == 16 ? 1 : 0;
  }
  EXPECT_EQ(fused, 4);  // weight and bias of both layers
  int sums = 0;
  for (const Node& node : running(graph, plan, "AllReduce", false)) sums += node.phase == Phase::forward ? 1 : 0;
  EXPECT_EQ(sums, 2 * 2 + 1);
}

TEST(PlanSplit, GatherDividesEveryProductWithAWeightByColumns) {
  for (const char* source : {kGpt, "mlp:in=9,hidden=12x8,out=6"}) {
    const Graph graph = zoo_graph(source, 2);
    const SplitPlan plan = plan_split(graph, 3, SplitMode::gather);
    for (NodeId id = 0; id < graph.num_nodes(); ++id) {
      const Node& node = graph.node(id);
      if (node.phase != Phase::forward || node.op->name != "MatMul") continue;
      if (graph.value(node.inputs[1]).role != Role::parameter) continue;
      const Shape& y = graph.shape(node.outputs[0]);
      const Strategy& chosen = plan.chosen[static_cast<std::size_t>(id)];
      EXPECT_EQ(chosen.outputs[0], Sharding::shard(y.rank() - 1, 1, y.back(), 1)) << node.name;
      EXPECT_TRUE(chosen.inputs[0].is_replicate()) << node.name;
      EXPECT_TRUE(plan.gathered[static_cast<std::size_t>(id)]) << node.name;
    }
  }
}

TEST(PlanSplit, SaysWhatRunsOnEveryRank) {
  const Graph graph = zoo_graph("gpt:layers=1,width=24,heads=3,seq=8,vocab=21", 2);
  const SplitPlan plan = plan_split(graph, 4, SplitMode::megatron);  // three heads on four ranks
  EXPECT_EQ(std::count_if(plan.notes.begin(), plan.notes.end(),
                          [](const std::string& note) { return note.find("/attn/") != std::string::npos; }),
            4);
  EXPECT_TRUE(sharding_of(graph, plan, "blocks.0.attn.q.weight").is_replicate());
  EXPECT_TRUE(sharding_of(graph, plan, "blocks.0.mlp.up.weight").is_shard());
}

// Ranks with other microbatch sizes must take the same decisions.
TEST(PlanSplit, DoesNotDependOnTheBatch) {
  const auto expect_same = [](const std::function<Graph(std::int64_t)>& graph_of, const std::string& what) {
    for (const SplitMode mode : {SplitMode::gather, SplitMode::megatron}) {
      for (const int size : {2, 3, 4}) {
        const SplitPlan first = plan_split(graph_of(1), size, mode);
        for (const std::int64_t samples : {2, 3, 7, 64}) {
          const SplitPlan plan = plan_split(graph_of(samples), size, mode);
          const auto differs = [](const Sharding& a, const Sharding& b) {
            return a.kind != b.kind || (a.is_shard() && !(a == b));
          };
          for (std::size_t id = 0; id < plan.values.size(); ++id) {
            EXPECT_FALSE(differs(plan.values[id], first.values[id]))
                << what << " t=" << size << " " << samples << " samples: " << plan.values[id].to_string() << " is "
                << first.values[id].to_string() << " of one";
          }
        }
      }
    }
  };
  for (const char* source :
       {kGpt, "gpt:layers=1,width=8,heads=2,seq=2,vocab=50,tied=1", "mlp:in=9,hidden=12x8,out=6"}) {
    expect_same([&](std::int64_t samples) { return zoo_graph(source, samples); }, source);
  }
  expect_same([&](std::int64_t samples) { return fixture_graph("edge_shared", samples, "mse"); }, "edge_shared");
  expect_same([&](std::int64_t samples) { return fixture_graph("edge_matmul", samples, "mse"); }, "edge_matmul");
}

}  // namespace
}  // namespace dml::test
