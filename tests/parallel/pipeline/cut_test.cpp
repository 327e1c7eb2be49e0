// Where the pipeline is cut, and what that refuses.
#include "parallel/pipeline/cut.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "kernels/error.h"
#include "tests/parallel/training_graphs.h"

namespace dml::test {
namespace {

constexpr const char* kGpt = "gpt:layers=4,width=64,heads=4,seq=32,vocab=64";

std::vector<double> cost_by_stage(const Graph& graph, std::span<const int> stages, int num_stages) {
  std::vector<double> flops(static_cast<std::size_t>(num_stages), 0);
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    flops[static_cast<std::size_t>(stages[static_cast<std::size_t>(id)])] += cost_of(graph, graph.node(id)).flops;
  }
  return flops;
}

const Node& named(const Graph& graph, const std::string& name) {
  const auto found =
      std::find_if(graph.nodes().begin(), graph.nodes().end(), [&](const Node& n) { return n.name == name; });
  if (found == graph.nodes().end()) throw std::invalid_argument("no node " + name);
  return *found;
}

std::string error_of(const Graph& graph, int num_stages, const std::vector<std::string>& cut) {
  try {
    cut_stages(graph, num_stages, cut);
  } catch (const ModelError& error) {
    return error.what();
  }
  return "no error";
}

TEST(CutStages, BalancesTheWork) {
  const Graph graph = zoo_graph(kGpt, 4);
  for (const int p : {1, 2, 3, 4}) {
    const std::vector<double> flops = cost_by_stage(graph, cut_stages(graph, p, {}), p);
    const double mean = std::accumulate(flops.begin(), flops.end(), 0.0) / p;
    EXPECT_LT(*std::max_element(flops.begin(), flops.end()), 1.25 * mean) << p << " stages";
    EXPECT_GT(*std::min_element(flops.begin(), flops.end()), 0) << p << " stages";
  }
}

TEST(CutStages, ForwardGoesDownAndGradientsGoUp) {
  for (const char* source :
       {kGpt, "gpt:layers=2,width=12,heads=3,seq=5,vocab=11,tied=1", "mlp:in=5,hidden=6x7x8,out=4"}) {
    const Graph graph = zoo_graph(source, 2);
    for (const int p : {2, 3, 4}) {
      const std::vector<int> stages = cut_stages(graph, p, {});
      for (NodeId id = 0; id < graph.num_nodes(); ++id) {
        const Node& node = graph.node(id);
        const int stage = stages[static_cast<std::size_t>(id)];
        const bool is_sum = node.op->name == "Add" || node.forward == kNone;
        if (node.phase != Phase::forward && !is_sum) {
          EXPECT_EQ(stage, stages[static_cast<std::size_t>(node.forward)]) << node.name;
        }
        for (const ValueId input : node.inputs) {
          const NodeId producer = input == kNone ? kNone : graph.value(input).producer;
          if (producer == kNone) continue;
          const int made = stages[static_cast<std::size_t>(producer)];
          const bool forward_to_forward = node.phase == Phase::forward;
          const bool gradient_to_gradient = graph.node(producer).phase != Phase::forward;
          if (forward_to_forward) {
            EXPECT_LE(made, stage) << node.name;
          }
          if (gradient_to_gradient) {
            EXPECT_GE(made, stage) << node.name;
          }
        }
      }
    }
  }
}

TEST(CutStages, AtNames) {
  const Graph graph = zoo_graph("mlp:in=5,hidden=6x7x8,out=4", 2);
  std::vector<NodeId> products;
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    if (graph.node(id).op->name == "MatMul" && graph.node(id).phase == Phase::forward) products.push_back(id);
  }
  ASSERT_EQ(products.size(), 4U);
  const std::vector<std::string> cut{graph.node(products[0]).name,
                                     graph.value(graph.node(products[2]).outputs[0]).name};
  const std::vector<int> stages = cut_stages(graph, 3, cut);
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    if (graph.node(id).phase != Phase::forward) continue;
    EXPECT_EQ(stages[static_cast<std::size_t>(id)], id <= products[0] ? 0 : id <= products[2] ? 1 : 2) << id;
  }
  EXPECT_EQ(stage_label(graph, stages, 0), "layers.0");
}

TEST(CutStages, RefusesWhatCannotBeCut) {
  const Graph graph = zoo_graph("mlp:in=5,hidden=6x7,out=4", 2);
  std::vector<std::string> names;
  for (const Node& node : graph.nodes()) {
    if (node.phase == Phase::forward) names.push_back(node.name);
  }
  EXPECT_NE(error_of(graph, 50, {}).find("--p 50"), std::string::npos);
  EXPECT_NE(error_of(graph, 3, {names[0]}).find("names 1"), std::string::npos);
  EXPECT_NE(error_of(graph, 2, {"nowhere"}).find("nowhere"), std::string::npos);
  EXPECT_NE(error_of(graph, 3, {names[3], names[1]}).find("does not come after"), std::string::npos);
  EXPECT_NE(error_of(graph, 3, {names[1], names[1]}).find("does not come after"), std::string::npos);
  EXPECT_NE(error_of(graph, 2, {names.back()}).find(names.back()), std::string::npos) << "nothing is left behind it";
}

// Nodes of weights alone are computed where their result is used first, and cost no place in the chain.
TEST(CutStages, PutsNodesOfWeightsWhereTheyAreUsed) {
  SmallGraph g;
  const ValueId late = g.transpose(g.parameter("w", {4, 4}), {1, 0});
  const ValueId x = g.input("x", {3, 4});
  const ValueId first = g.add("MatMul", {x, g.parameter("u", {4, 4})});
  const ValueId second = g.add("Tanh", {first});
  g.graph.output = g.add("MatMul", {second, late});
  const Graph graph = with_gradients(std::move(g.graph), "mse");
  const std::vector<int> stages = cut_stages(graph, 2, std::vector<std::string>{named(graph, "Tanh2").name});
  EXPECT_EQ(stages[static_cast<std::size_t>(graph.value(late).producer)], 1);
}

}  // namespace
}  // namespace dml::test
