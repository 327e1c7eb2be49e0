// What techniques do to the graph, to prices and to memory.
#include "parallel/techniques/techniques.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "models/index.h"
#include "models/op.h"
#include "models/rewrite/passes.h"
#include "parallel/plan/estimate.h"
#include "parallel/techniques/recomputation.h"
#include "parallel/verify/verify.h"
#include "tests/parallel/training_graphs.h"

namespace dml::test {
namespace {

constexpr const char* kTechniquesModel = "gpt:layers=4,width=48,heads=4,seq=32,vocab=64,dropout=0.1";

/// Attention in single operations, as files have it that we do not fuse.
Graph spelled_out(std::int64_t samples) {
  const auto model = load_builtin(kTechniquesModel, 1);
  Graph graph = model->build({.batch = samples, .dims = {}, .ties = {}, .unties = {}});
  choose_trainable(graph, {}, {});
  fold_constants(graph);
  remove_unused(graph);
  return with_gradients(std::move(graph), "cross_entropy");
}

std::multiset<std::string_view> recomputed(const Graph& graph) {
  std::multiset<std::string_view> operations;
  for (const Node& node : graph.nodes())
    if (node.phase == Phase::recompute) operations.insert(node.op->name);
  return operations;
}

/// The bytes of values that a gradient or a copy reads, made by forward nodes.
double kept_bytes(const Graph& graph) {
  std::set<ValueId> kept;
  for (const Node& node : graph.nodes()) {
    if (node.phase == Phase::forward) continue;
    for (const ValueId input : node.inputs) {
      const NodeId producer = input == kNone ? kNone : graph.value(input).producer;
      if (producer != kNone && graph.node(producer).phase == Phase::forward) kept.insert(input);
    }
  }
  double bytes = 0;
  for (const ValueId id : kept) bytes += bytes_of(graph.value(id));
  return bytes;
}

TEST(Recomputation, OfLayersKeepsWhatOtherLayersRead) {
  const Graph plain = zoo_graph(kTechniquesModel, 2);
  const Graph graph = with_recomputation(plain, Recompute::full);
  EXPECT_EQ(recomputed(graph).count("PackedAttention") + recomputed(graph).count("Attention"), 4U);
  EXPECT_LT(kept_bytes(graph), 0.4 * kept_bytes(plain));
  std::vector<bool> made(index(graph.num_values()), false);
  for (const Node& node : graph.nodes()) {
    for (const ValueId input : node.inputs) {
      EXPECT_TRUE(input == kNone || graph.value(input).producer == kNone || made[index(input)]) << node.name;
    }
    for (const ValueId output : node.outputs) made[index(output)] = true;
    if (node.phase != Phase::recompute) continue;
    EXPECT_EQ(graph.node(node.forward).phase, Phase::forward);
    EXPECT_EQ(graph.node(node.forward).op, node.op);
  }
}

TEST(Recomputation, OfAttentionIsOfTheScoresAlone) {
  const Graph plain = spelled_out(2);
  const Graph graph = with_recomputation(plain, Recompute::attention);
  EXPECT_EQ(recomputed(graph).count("Softmax"), 4U);
  EXPECT_EQ(recomputed(graph).count("LayerNorm"), 0U);
  EXPECT_LT(kept_bytes(graph), kept_bytes(plain));
  EXPECT_GT(kept_bytes(graph), kept_bytes(with_recomputation(plain, Recompute::full)));
  EXPECT_TRUE(recomputed(with_recomputation(zoo_graph(kTechniquesModel, 2), Recompute::attention)).empty());
}

TEST(Recomputation, IsProvenToComputeTheModelWhereverItIsCut) {
  const GraphOfBatch graph_of = [](std::int64_t samples) {
    return with_recomputation(zoo_graph(kTechniquesModel, samples), Recompute::full);
  };
  for (const int p : {1, 2, 4}) {
    PartitionOptions options;
    options.batch = 8;
    options.microbatches = 4;
    options.schedule = p == 2 ? "zb-h1" : "1f1b";
    const Verification found = verify(graph_of, Mesh(2, p, 2), options);
    EXPECT_TRUE(found.holds()) << "p=" << p << ": " << found.findings.front().to_string();
  }
}

TEST(Techniques, SayThemselvesAsOptions) {
  EXPECT_EQ(Techniques{}.to_options(), "");
  const Techniques all{.recompute = Recompute::full, .sequence_parallel = true, .zero = 3, .dtype = DataType::bf16};
  EXPECT_EQ(all.to_options(), "--recompute full --sequence-parallel --zero 3 --dtype bf16");
}

struct WeightBytesCase {
  Techniques techniques;
  double parameters, gradients, states;
};

// 1000 weights on 4 replicas, under Adam.
TEST(Techniques, DivideWeightsByTheStageOfZero) {
  const WeightBytesCase cases[] = {
      {{}, 4000, 4000, 8000},
      {{.zero = 1}, 4000, 4000, 2000},
      {{.zero = 2}, 4000, 1000, 2000},
      {{.zero = 3}, 1000, 1000, 2000},
      {{.dtype = DataType::bf16}, 2000, 4000, 12000},
      {{.zero = 3, .dtype = DataType::bf16}, 500, 1000, 3000},
  };
  for (const WeightBytesCase& c : cases) {
    const WeightBytes bytes = weight_bytes(c.techniques, 1000, 4, 2);
    EXPECT_EQ(bytes.parameters, c.parameters) << c.techniques.to_options();
    EXPECT_EQ(bytes.gradients, c.gradients) << c.techniques.to_options();
    EXPECT_EQ(bytes.optimizer_states, c.states) << c.techniques.to_options();
  }
}

/// What a layout of 2x2x2 ranks takes with some techniques.
StepEstimate estimated(const Techniques& techniques) {
  CutModel model(
      [&](std::int64_t samples) { return with_techniques(zoo_graph(kTechniquesModel, samples), techniques); }, 2);
  Hardware hardware;
  hardware.name = "small";
  hardware.peaks = {.f32_flops = 50e9, .f16_flops = 100e9, .memory_bytes_per_s = 20e9};
  hardware.levels = {{1 << 30, {2e-6, 5e9}, CollectiveAlgorithm::automatic}};
  EstimateOptions options;
  options.batch = 16;
  options.hosts.cores = {8, 8};
  ScheduleCache schedules;
  return Estimator(model, schedules, hardware, options)
      .estimate(
          {.d = 2, .p = 2, .t = 2, .schedule = &find_schedule("1f1b"), .microbatches = 4, .techniques = techniques});
}

double flops_of(const Graph& graph) {
  double flops = 0;
  for (const Node& node : graph.nodes()) flops += cost_of(graph, node).flops;
  return flops;
}

TEST(Techniques, TradeTimeForMemory) {
  const StepEstimate plain = estimated({});
  const StepEstimate full = estimated({.recompute = Recompute::full});
  const Graph once = zoo_graph(kTechniquesModel, 2);
  const double more = flops_of(with_techniques(once, {.recompute = Recompute::full})) / flops_of(once);
  EXPECT_NEAR(full.parts.compute / plain.parts.compute, more, 0.05) << "one forward pass of the layers more";
  EXPECT_LT(full.memory.activations, 0.6 * plain.memory.activations);
  const StepEstimate half = estimated({.dtype = DataType::bf16});
  EXPECT_NEAR(half.memory.activations / plain.memory.activations, 0.5, 0.03);
  EXPECT_NEAR(half.moved.pipeline / plain.moved.pipeline, 0.5, 1e-9);
  EXPECT_LT(half.seconds, 0.7 * plain.seconds);
  const StepEstimate parts = estimated({.sequence_parallel = true});
  EXPECT_LT(parts.memory.activations, plain.memory.activations);
  EXPECT_LT(parts.parts.compute, plain.parts.compute);
}

// What goes through tokens one by one has addends of its gradient on each rank: however many microbatches, these are
// summed once.
TEST(Techniques, GradientsOfPartsAreSummedOverTheTensorAxisOnceAStep) {
  const GraphOfBatch graph_of = [](std::int64_t samples) { return zoo_graph(kTechniquesModel, samples); };
  for (const int microbatches : {1, 4}) {
    PartitionOptions options;
    options.batch = 8;
    options.microbatches = microbatches;
    options.tensor_auto = false;
    options.techniques.sequence_parallel = true;
    const Partition rank = make_partition(graph_of, Mesh(2, 2, 2), 0, options);
    for (const Node& node : rank.split().graph.nodes())
      EXPECT_FALSE(node.op->name == "AllReduce" && node.phase == Phase::weight_grad) << node.name;
    std::int64_t summed = 0;
    for (const Task& task : rank.tasks.tasks) {
      if (task.node != kNone || task.axis != Axis::tensor || !is_collective(task.kind)) continue;
      EXPECT_EQ(task.kind, TaskKind::all_reduce);
      summed += rank.tasks.work_of(task).count;
    }
    std::int64_t last = 0;
    for (const Segment& segment : rank.layout.segments) last += segment.summed_last ? segment.count : 0;
    EXPECT_GT(last, 0);
    EXPECT_GE(summed, last);
    EXPECT_LT(summed, last + rank.layout.size / 10) << "nothing but these, and what aligns them";
  }
}

TEST(Techniques, PartsOfTheSequenceNeedSums) {
  CutModel model([&](std::int64_t samples) { return zoo_graph(kTechniquesModel, samples); }, 2);
  const Hardware hardware = hardware_preset("a100-80g");
  ScheduleCache schedules;
  Estimator estimator(model, schedules, hardware, {.batch = 4});
  LayoutChoice layout{.t = 2, .schedule = &find_schedule("1f1b"), .mode = SplitMode::gather};
  EXPECT_GT(estimator.estimate(layout).seconds, 0);
  layout.techniques.sequence_parallel = true;
  EXPECT_THROW(estimator.estimate(layout), ImpossibleLayout);
}

TEST(Techniques, ZeroMovesWeightsInPlaceOfMemory) {
  const StepEstimate plain = estimated({});
  double memory = plain.memory.total();
  for (int zero = 1; zero <= Techniques::kMostZero; ++zero) {
    const StepEstimate estimate = estimated({.zero = zero});
    EXPECT_LT(estimate.memory.total() - estimate.memory.activations, memory - plain.memory.activations + 1e6);
    memory = estimate.memory.total();
  }
  // All-reduce moves the gradients; ZeRO 1 scatters them and gathers as many weights.
  EXPECT_NEAR(estimated({.zero = 1}).moved.gradients / plain.moved.gradients, 2, 0.01);
  EXPECT_EQ(estimated({.zero = 1}).memory.optimizer_states, plain.memory.optimizer_states / 2);
}

}  // namespace
}  // namespace dml::test
