#include "parallel/cost/hardware.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "parallel/cost/task_cost.h"
#include "parallel/cost/topology.h"

namespace dml {
namespace {

// 100 FLOP/s, half of which is reached, and 10 bytes/s; nodes of 4 ranks, then everything.
Hardware simple_hardware() {
  Hardware hardware;
  hardware.name = "simple";
  hardware.launch_seconds = 1;
  hardware.peaks = {.f32_flops = 100, .f16_flops = 200, .efficiency = 0.5, .memory_bytes_per_s = 10};
  hardware.ranks_per_host = 4;
  hardware.levels = {{.ranks = 4, .link = {1, 100}, .algorithm = CollectiveAlgorithm::ring},
                     {.ranks = 1000, .link = {5, 10}, .algorithm = CollectiveAlgorithm::ring}};
  return hardware;
}

ValueId add_input(Graph& graph, const std::string& name, const Shape& shape, DataType dtype = DataType::f32) {
  Value value;
  value.dtype = dtype;
  value.name = name;
  value.shape = shape;
  value.role = Role::input;
  return graph.add_value(value);
}

Graph product(std::int64_t m, std::int64_t k, std::int64_t n, DataType dtype = DataType::f32) {
  Graph graph;
  const ValueId a = add_input(graph, "a", {m, k}, dtype);
  const ValueId b = add_input(graph, "b", {k, n}, dtype);
  graph.add("MatMul", {a, b}, {}, "y");
  return graph;
}

double seconds_of_product(const Hardware& hardware, const ComputeMode& mode = {}, DataType dtype = DataType::f32) {
  const Graph graph = product(10, 10, 10, dtype);
  return seconds_of(hardware, graph, graph.nodes().back(), mode);
}

KernelTable constant_rate(int threads, double seconds) {
  return {.threads = threads, .table = {{{1, 10}, {10}, {10}}, {seconds / 10, seconds}, {}}};
}

TEST(Hardware, WithoutMeasurementsTheRooflineDecides) {
  // 2000 FLOP at 50 FLOP/s are 40 s, 1200 bytes at 10 bytes/s are 120 s.
  EXPECT_DOUBLE_EQ(seconds_of_product(simple_hardware()), 1 + 120);
  Hardware fast_memory = simple_hardware();
  fast_memory.peaks.memory_bytes_per_s = 1e9;
  EXPECT_DOUBLE_EQ(seconds_of_product(fast_memory), 1 + 40);
  EXPECT_DOUBLE_EQ(seconds_of_product(fast_memory, {}, DataType::bf16), 1 + 20);
}

TEST(Hardware, WhatOneCoreLosesAllThatAreInUseWaitFor) {
  Hardware hardware = simple_hardware();
  hardware.cores_per_host = 2;
  hardware.kernels["MatMul"] = {constant_rate(1, 10)};
  const auto seconds = [&](int ranks) { return seconds_of_product(hardware, {.ranks_per_host = ranks}) - 1; };
  const double undisturbed = seconds(1);
  hardware.disturbance = 0.1;
  EXPECT_DOUBLE_EQ(seconds(1), 1.1 * undisturbed);
  EXPECT_DOUBLE_EQ(seconds(2), 1.2 * undisturbed);
  EXPECT_DOUBLE_EQ(seconds(8), 1.2 * undisturbed);
}

TEST(Hardware, EfficiencyFollowsTheSizeOfAProduct) {
  Peaks peaks{.efficiency = 0.9, .sizes_flops = {1e6, 1e8}, .efficiencies = {0.2, 0.6}};
  EXPECT_DOUBLE_EQ(peaks.efficiency_at(1e3), 0.2);
  EXPECT_DOUBLE_EQ(peaks.efficiency_at(1e7), 0.4);
  EXPECT_DOUBLE_EQ(peaks.efficiency_at(1e9), 0.6);
  peaks.sizes_flops.clear();
  EXPECT_DOUBLE_EQ(peaks.efficiency_at(1e7), 0.9);
}

TEST(Hardware, MeasurementsGoOverTheRoofline) {
  Hardware hardware = simple_hardware();
  hardware.kernels["MatMul"] = {constant_rate(1, 7)};
  EXPECT_DOUBLE_EQ(seconds_of_product(hardware), 1 + 7);
  EXPECT_GT(seconds_of_product(hardware, {}, DataType::bf16), 1 + 7) << "measured in f32 alone";
}

TEST(Hardware, TheMeasurementOfAsManyThreadsIsTaken) {
  Hardware hardware = simple_hardware();
  hardware.kernels["MatMul"] = {constant_rate(1, 10), constant_rate(4, 4)};
  EXPECT_DOUBLE_EQ(seconds_of_product(hardware, {.threads = 1}), 1 + 10);
  EXPECT_DOUBLE_EQ(seconds_of_product(hardware, {.threads = 4}), 1 + 4);
  // 0.4 s that no thread shortens, and 3.6 s that twice as many halve.
  EXPECT_DOUBLE_EQ(seconds_of_product(hardware, {.threads = 8}), 1 + 0.4 + 1.8);
}

TEST(Hardware, RanksThatComputeTogetherHaveTheirOwnMeasurement) {
  Hardware hardware = simple_hardware();
  hardware.kernels["MatMul"] = {constant_rate(1, 10), constant_rate(1, 15)};
  hardware.kernels["MatMul"][1].ranks = 4;
  EXPECT_DOUBLE_EQ(seconds_of_product(hardware, {.threads = 1, .ranks_per_host = 1}), 1 + 10);
  EXPECT_DOUBLE_EQ(seconds_of_product(hardware, {.threads = 1, .ranks_per_host = 3}), 1 + 10)
      << "of fewer, not of more";
  EXPECT_DOUBLE_EQ(seconds_of_product(hardware, {.threads = 1, .ranks_per_host = 8}), 1 + 15);
}

TEST(Hardware, AliasesTakeNoTime) {
  Graph graph;
  const ValueId x = add_input(graph, "x", {4, 4});
  graph.add("Reshape", {x}, Attributes().set("shape", std::vector<std::int64_t>{16}), "y");
  EXPECT_EQ(seconds_of(simple_hardware(), graph, graph.nodes().back(), {}), 0);
}

TEST(Hardware, AnUpdateMovesWeightsGradientsAndStates) {
  // Read and write weights and two states, read gradients: 7 accesses of 4 bytes for each of 10 weights.
  EXPECT_DOUBLE_EQ(seconds_of_update(simple_hardware(), 10, 2, {}), 1 + 28);
  EXPECT_DOUBLE_EQ(seconds_of_memory(simple_hardware(), 100, {}), 1 + 10);
}

TEST(Hardware, GroupsInsideANodeUseItsLinks) {
  EXPECT_DOUBLE_EQ(seconds_of(simple_hardware(), CommKind::all_reduce, 800, {.ranks = 4}), 6 + 12);
  EXPECT_DOUBLE_EQ(seconds_of(simple_hardware(), CommKind::all_reduce, 800, {.ranks = 2, .stride = 2}), 2 + 8);
}

TEST(Hardware, GroupsAcrossNodesAreHierarchical) {
  // Inside: 3 + 6 each way; across two nodes: 200 of the bytes, 2 steps of 5 s and 20 s.
  EXPECT_DOUBLE_EQ(seconds_of(simple_hardware(), CommKind::all_reduce, 800, {.ranks = 8}), 9 + 10 + 20 + 9);
  EXPECT_DOUBLE_EQ(seconds_of(simple_hardware(), CommKind::all_gather, 800, {.ranks = 8}), 9 + 5 + 10);
  EXPECT_DOUBLE_EQ(seconds_of(simple_hardware(), CommKind::broadcast, 800, {.ranks = 8}), 3 + 8 + 5 + 80);
}

TEST(Hardware, DistantMembersMeetOnTheNetworkAlone) {
  EXPECT_DOUBLE_EQ(seconds_of(simple_hardware(), CommKind::all_reduce, 800, {.ranks = 2, .stride = 4}), 10 + 80);
}

TEST(Hardware, MessagesTakeTheCloseLinkWhereThereIsOne) {
  EXPECT_DOUBLE_EQ(seconds_of_send(simple_hardware(), 100, 0, 3), 1 + 1);
  EXPECT_DOUBLE_EQ(seconds_of_send(simple_hardware(), 100, 3, 4), 5 + 10);
}

TEST(Hardware, MeasuredCommunicationHoldsInsideAHost) {
  Hardware hardware = simple_hardware();
  hardware.comm[CommKind::all_reduce] = {{{2, 4}, {100, 1000}}, {1, 10, 2, 20}, {}};
  hardware.comm[CommKind::send] = {{{2}, {100, 1000}}, {3, 30}, {}};
  EXPECT_DOUBLE_EQ(seconds_of(hardware, CommKind::all_reduce, 1000, {.ranks = 4}), 20);
  EXPECT_DOUBLE_EQ(seconds_of(hardware, CommKind::all_reduce, 800, {.ranks = 8}), 9 + 10 + 20 + 9);
  EXPECT_DOUBLE_EQ(seconds_of_send(hardware, 1000, 0, 3), 30);
  EXPECT_DOUBLE_EQ(seconds_of_send(hardware, 100, 3, 4), 5 + 10);
}

TEST(Hardware, PresetsAreComplete) {
  for (const std::string_view name : hardware_preset_names()) {
    const Hardware hardware = hardware_preset(name);
    EXPECT_EQ(hardware.name, name);
    EXPECT_NO_THROW(hardware.check()) << name;
    EXPECT_GT(hardware.peaks.f16_flops, hardware.peaks.f32_flops) << name;
    EXPECT_GT(hardware.memory_bytes, 0) << name;
    EXPECT_EQ(hardware.levels.size(), 2) << name;
  }
}

// Four ranks of a node: a step of a ring takes 1 s and 1/100 s a byte.
TEST(Hardware, ALinkOfTwoRanksStandsInPlaceOfTheirLevels) {
  Hardware hardware = simple_hardware();
  const double usual = seconds_of(hardware, CommKind::all_gather, 400, {4, 1, 0});
  EXPECT_DOUBLE_EQ(usual, 3 * (1 + 1));
  hardware.links = {{{1, 1}, {2, 2}, {3, 50}}};
  EXPECT_DOUBLE_EQ(seconds_of_send(hardware, 100, 1, 2), 3 + 2);
  EXPECT_DOUBLE_EQ(seconds_of_send(hardware, 100, 2, 1), 3 + 2);
  EXPECT_DOUBLE_EQ(seconds_of_send(hardware, 100, 0, 2), 1 + 1);
  // A ring is as slow as its slowest link; rings without the pair, or in which it is not used, stay as they are.
  EXPECT_DOUBLE_EQ(seconds_of(hardware, CommKind::all_gather, 400, {4, 1, 0}), 3 * (3 + 2));
  EXPECT_DOUBLE_EQ(seconds_of(hardware, CommKind::all_gather, 400, {4, 1, 4}), usual);
  hardware.links = {{{0, 0}, {2, 2}, {3, 50}}};
  EXPECT_DOUBLE_EQ(seconds_of(hardware, CommKind::all_gather, 400, {4, 1, 0}), usual);
  hardware.levels[0].algorithm = CollectiveAlgorithm::direct;
  EXPECT_DOUBLE_EQ(seconds_of(hardware, CommKind::all_gather, 400, {4, 1, 0}), 3 + 6);
}

TEST(Hardware, AFasterLinkHelpsWhereNoOtherIsUsed) {
  Hardware hardware = simple_hardware();
  hardware.links = {{{0, 0}, {1, 1}, {0.5, 1000}}};
  EXPECT_DOUBLE_EQ(seconds_of(hardware, CommKind::all_gather, 2000, {2, 1, 0}), 0.5 + 1);
  EXPECT_DOUBLE_EQ(seconds_of(hardware, CommKind::all_gather, 2000, {2, 1, 2}), 1 + 10);
  EXPECT_DOUBLE_EQ(seconds_of(hardware, CommKind::all_gather, 300, {3, 1, 0}), 2 * (1 + 1));
}

// Two hosts of four: only the part that crosses between them slows down.
TEST(Hardware, ALinkOfHostsIsThatOfAllTheirRanks) {
  Hardware hardware = simple_hardware();
  const double inside = 2 * 3 * (1 + 1);
  const double across = 2 * (5 + 5);
  EXPECT_DOUBLE_EQ(seconds_of(hardware, CommKind::all_reduce, 400, {8, 1, 0}), inside + across);
  hardware.links = {{{0, 3}, {4, 7}, {10, 1}}};
  EXPECT_DOUBLE_EQ(seconds_of(hardware, CommKind::all_reduce, 400, {8, 1, 0}), inside + 2 * (10 + 50));
  EXPECT_DOUBLE_EQ(seconds_of(hardware, CommKind::all_reduce, 400, {8, 1, 8}), inside + across);
  EXPECT_DOUBLE_EQ(seconds_of_send(hardware, 10, 2, 6), 10 + 10);
  EXPECT_EQ(hardware.link_ends_of(3), std::vector{0});
  EXPECT_EQ(hardware.link_ends_of(4), std::vector{1});
  EXPECT_TRUE(hardware.link_ends_of(8).empty());
}

TEST(Hardware, RanksOfAHostShareItsBandwidthOverTheLinkBetweenHosts) {
  Hardware hardware = simple_hardware();
  hardware.host_bytes_per_s = 25;
  const auto at_full_speed = [&] { return hosts_of(hardware, 4, 4).uplinks.at_full_speed; };
  EXPECT_EQ(hosts_of(hardware, 4, 4).uplinks.ranks, 4);
  EXPECT_EQ(at_full_speed(), 2.5) << "of 10 bytes/s each";
  hardware.levels.erase(hardware.levels.begin() + 1);
  EXPECT_EQ(at_full_speed(), 0.25) << "of 100 bytes/s each: the last level has no end";
  hardware.check();
  hardware.levels.clear();
  EXPECT_THROW(hardware.check(), std::invalid_argument);
}

TEST(Hardware, WhatWasMeasuredKnowsNoLinksOfItsOwn) {
  Hardware hardware = simple_hardware();
  hardware.comm[CommKind::all_reduce] = {{{2}, {1, 1000}}, {0.25, 0.25}, {}};
  hardware.comm[CommKind::send] = hardware.comm[CommKind::all_reduce];
  EXPECT_DOUBLE_EQ(seconds_of(hardware, CommKind::all_reduce, 100, {2, 1, 0}), 0.25);
  hardware.links = {{{0, 0}, {1, 1}, {1, 100}}};
  EXPECT_DOUBLE_EQ(seconds_of(hardware, CommKind::all_reduce, 100, {2, 1, 0}), 2 * (1 + 0.5));
  EXPECT_DOUBLE_EQ(seconds_of(hardware, CommKind::all_reduce, 100, {2, 1, 2}), 0.25);
  EXPECT_DOUBLE_EQ(seconds_of_send(hardware, 100, 1, 0), 1 + 1);
  EXPECT_DOUBLE_EQ(seconds_of_send(hardware, 100, 1, 2), 0.25);
}

TEST(Topology, ShapesAreLevels) {
  const std::vector<LinkLevel> nodes =
      levels_of({.shape = NetworkShape::nodes, .ranks = {8}, .links = {{1, 100}, {5, 10}}});
  ASSERT_EQ(nodes.size(), 2U);
  EXPECT_EQ(nodes[0].ranks, 8);
  EXPECT_DOUBLE_EQ(nodes[1].link.bytes_per_s, 10);
  const std::vector<LinkLevel> tree = levels_of(
      {.shape = NetworkShape::fat_tree, .ranks = {4, 16}, .links = {{1, 8}, {2, 8}, {3, 8}}, .oversubscription = 2});
  ASSERT_EQ(tree.size(), 3U);
  EXPECT_DOUBLE_EQ(tree[0].link.bytes_per_s, 8);
  EXPECT_DOUBLE_EQ(tree[1].link.bytes_per_s, 4);
  EXPECT_DOUBLE_EQ(tree[2].link.bytes_per_s, 2);
}

// Of 4 ranks each sends a quarter to each other at once, in a ring one after the other.
TEST(Topology, AFullMeshUsesAllLinksAtOnce) {
  Hardware hardware = simple_hardware();
  hardware.levels = levels_of({.shape = NetworkShape::full_mesh, .links = {{1, 100}}});
  EXPECT_DOUBLE_EQ(seconds_of(hardware, CommKind::all_gather, 400, {4, 1, 0}), 1 + 1);
  EXPECT_DOUBLE_EQ(seconds_of_send(hardware, 400, 0, 3), 1 + 4);
}

TEST(Topology, SaysWhatAShapeDoesNotHave) {
  EXPECT_THROW(levels_of({.shape = NetworkShape::nodes, .ranks = {8}, .links = {{1, 100}}}), std::invalid_argument);
  EXPECT_THROW(levels_of({.shape = NetworkShape::full_mesh, .ranks = {8}, .links = {{1, 100}, {1, 10}}}),
               std::invalid_argument);
  EXPECT_THROW(levels_of({.shape = NetworkShape::full_mesh, .links = {{1, 100}}, .oversubscription = 2}),
               std::invalid_argument);
}

TEST(Hardware, PresetsAreTheDataSheets) {
  const Hardware a100 = hardware_preset("a100-80g");
  EXPECT_DOUBLE_EQ(a100.peaks.f16_flops, 312e12);
  EXPECT_DOUBLE_EQ(a100.peaks.memory_bytes_per_s, 2.039e12);
  EXPECT_DOUBLE_EQ(hardware_preset("h200").peaks.memory_bytes_per_s, 4.8e12);
}

TEST(Hardware, AnUnknownPresetListsTheOthers) {
  try {
    hardware_preset("a100");
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("a100-80g, h100-sxm, h200, b200"), std::string::npos) << error.what();
  }
}

TEST(Hardware, SaysWhatMakesNoSense) {
  const auto refused = [](auto change) {
    Hardware hardware = simple_hardware();
    change(hardware);
    EXPECT_THROW(hardware.check(), std::invalid_argument);
  };
  EXPECT_NO_THROW(simple_hardware().check());
  refused([](Hardware& hardware) { hardware.peaks.f32_flops = 0; });
  refused([](Hardware& hardware) { hardware.peaks.efficiency = 1.5; });
  refused([](Hardware& hardware) { hardware.peaks.sizes_flops = {1e6}; });
  refused([](Hardware& hardware) {
    hardware.peaks.sizes_flops = {1e6, 1e6};
    hardware.peaks.efficiencies = {0.5, 0.5};
  });
  refused([](Hardware& hardware) { hardware.levels[1].ranks = 4; });
  refused([](Hardware& hardware) { hardware.levels[0].link.bytes_per_s = 0; });
  refused([](Hardware& hardware) { hardware.links = {{{0, 0}, {1, 1}, {0, 0}}}; });
  refused([](Hardware& hardware) { hardware.links = {{{3, 2}, {1, 1}, {0, 1}}}; });
  refused([](Hardware& hardware) { hardware.overlap_slowdown = 0.5; });
  refused([](Hardware& hardware) {
    hardware.host_bytes_per_s = 1;
    hardware.ranks_per_host = 0;
  });
  refused([](Hardware& hardware) {
    hardware.host_bytes_per_s = 1;
    hardware.cores_per_host = 2;
  });
  refused([](Hardware& hardware) { hardware.kernels["Add"] = {{.threads = 0, .table = {{{1}}, {1}, {}}}}; });
  refused([](Hardware& hardware) { hardware.comm[CommKind::send] = {{{1}}, {1}, {}}; });
}

}  // namespace
}  // namespace dml
