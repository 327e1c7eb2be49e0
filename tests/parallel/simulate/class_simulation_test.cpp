// One rank of each class against all of them: the same step, and the same parts for every rank of a class.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "parallel/cost/task_cost.h"
#include "parallel/model_layout.h"
#include "parallel/simulate/step_simulation.h"
#include "tests/parallel/training_graphs.h"

namespace dml::test {
namespace {

const char* const kEvenGpt = "gpt:layers=8,width=16,heads=8,seq=4,vocab=16";
const char* const kUnevenGpt = "gpt:layers=8,width=12,heads=3,seq=4,vocab=7,tied=1";

constexpr Techniques kBySequence{.sequence_parallel = true};

struct ClassCase {
  int d, p, t;
  const char* order;
  std::int64_t batch;
  int microbatches;
  const char* schedule;
  const char* model;
  Sharing cores;
  std::vector<int> levels;  ///< ranks of each but the last
  int most_classes;
  Techniques techniques = {};
  std::vector<int> slower = {};  ///< the first and the last rank of those whose devices are slower
  std::vector<LinkOverride> links = {};

  friend void PrintTo(const ClassCase& c, std::ostream* out) {
    *out << c.order << " d" << c.d << " p" << c.p << " t" << c.t << " batch " << c.batch << " m" << c.microbatches
         << " " << c.schedule << " " << c.model << " on hosts of " << c.cores.ranks;
  }
};

/// Every level ten times as slow as the one within it.
Hardware hardware_with(const std::vector<int>& levels) {
  Hardware hardware = hardware_preset("a100-80g");
  hardware.levels.clear();
  double bytes_per_s = 1e10;
  for (const int ranks : levels) {
    hardware.levels.push_back({ranks, {1e-6, bytes_per_s}, CollectiveAlgorithm::automatic});
    bytes_per_s /= 10;
  }
  hardware.levels.push_back({1 << 20, {1e-5, bytes_per_s}, CollectiveAlgorithm::automatic});
  return hardware;
}

class ClassSimulation : public testing::TestWithParam<ClassCase> {
 protected:
  ClassSimulation()
      : layout_([](std::int64_t samples) { return zoo_graph(GetParam().model, samples); },
                Mesh(GetParam().d, GetParam().p, GetParam().t, GetParam().order), options()),
        hardware_(hardware_with(GetParam().levels)) {
    hardware_.links = GetParam().links;
    const std::vector<int>& slower = GetParam().slower;
    if (slower.empty()) return;
    Hardware kind = hardware_;
    kind.peaks.f32_flops /= 3;
    kind.launch_seconds *= 2;
    hardware_.others = {{slower.front(), slower.back(), std::make_shared<Hardware>(std::move(kind))}};
  }

  static PartitionOptions options() {
    PartitionOptions options;
    options.schedule = GetParam().schedule;
    options.batch = GetParam().batch;
    options.microbatches = GetParam().microbatches;
    options.bucket_bytes = 512;
    options.techniques = GetParam().techniques;
    return options;
  }

  RankClasses classes() {
    RankPlaces places;
    for (const LinkLevel& level : hardware_.levels) places.blocks.push_back(level.ranks);
    std::vector<std::pair<bool, std::vector<int>>> devices;
    for (int rank = 0; rank < layout_.mesh().world_size(); ++rank)
      devices.emplace_back(&hardware_.device_of(rank) == &hardware_, hardware_.link_ends_of(rank));
    places.devices = classes_by<std::pair<bool, std::vector<int>>>(devices).of;
    if (GetParam().cores.slows()) places.ranks_per_host = GetParam().cores.ranks;
    return divided_by_places(layout_.classes(), placement_of(layout_.mesh(), layout_.options()), places);
  }

  SimulatedStep play(const RankClasses& classes) {
    std::vector<Partition> partitions;
    std::vector<RankTasks> ranks;
    for (const int rank : classes.first_ranks()) {
      partitions.push_back(layout_.partition(rank));
      ranks.push_back(partitions.back().tasks);
    }
    return simulate_step(ranks, classes, Hosts{.cores = GetParam().cores}, task_seconds(hardware_, partitions, {}));
  }

  ModelLayout layout_;
  Hardware hardware_;
};

TEST_P(ClassSimulation, IsTheWholeSimulation) {
  const RankClasses alike = classes();
  EXPECT_LE(alike.size(), GetParam().most_classes);
  const SimulatedStep some = play(alike);
  const SimulatedStep all = play(RankClasses(layout_.mesh()));
  EXPECT_NEAR(some.seconds, all.seconds, 1e-9 * all.seconds);
  for (int rank = 0; rank < layout_.mesh().world_size(); ++rank) {
    const StepParts& of_class = some.parts[static_cast<std::size_t>(alike.class_of(rank))];
    const StepParts& of_rank = all.parts[static_cast<std::size_t>(rank)];
    for (const auto part :
         {&StepParts::step, &StepParts::compute, &StepParts::core_wait, &StepParts::exposed_comm, &StepParts::bubble})
      ASSERT_NEAR(of_class.*part, of_rank.*part, 1e-9 * all.seconds) << "rank " << rank;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Layouts, ClassSimulation,
    testing::Values(
        // Devices of their own.
        ClassCase{4, 4, 4, "dpt", 16, 4, "1f1b", kEvenGpt, {1, 1}, {8}, 4},
        ClassCase{64, 1, 1, "dpt", 64, 1, "1f1b", kEvenGpt, {1, 1}, {8}, 1},
        ClassCase{8, 8, 1, "dpt", 32, 4, "zb-h1", kEvenGpt, {1, 1}, {8}, 8},
        ClassCase{16, 2, 2, "dpt", 64, 4, "interleaved", kEvenGpt, {1, 1}, {}, 2},
        ClassCase{2, 4, 8, "dpt", 16, 8, "zb-v", kEvenGpt, {1, 1}, {8}, 4},
        // Uneven replicas, heads and vocabulary.
        ClassCase{8, 4, 2, "dpt", 18, 2, "gpipe", kUnevenGpt, {1, 1}, {8}, 16},
        ClassCase{4, 4, 4, "dpt", 21, 4, "1f1b", kUnevenGpt, {1, 1}, {8}, 32},
        ClassCase{8, 2, 4, "tpd", 16, 2, "1f1b", kUnevenGpt, {1, 1}, {}, 8},
        // By parts of the sequence; it has four tokens for four ranks, or for three.
        ClassCase{4, 4, 4, "dpt", 16, 4, "1f1b", kEvenGpt, {1, 1}, {8}, 4, kBySequence},
        ClassCase{4, 2, 3, "dpt", 21, 4, "zb-h1", kUnevenGpt, {1, 1}, {8}, 24, kBySequence},
        // Replicas that share their states, gradients and parameters.
        ClassCase{8, 4, 2, "dpt", 32, 4, "1f1b", kEvenGpt, {1, 1}, {8}, 4, {.zero = 1}},
        ClassCase{8, 4, 2, "dpt", 34, 4, "zb-v", kUnevenGpt, {1, 1}, {8}, 32, {.zero = 3}},
        // Messages that leave a node here and stay within it there.
        ClassCase{16, 4, 1, "dpt", 64, 4, "1f1b", kEvenGpt, {1, 1}, {6, 24}, 20},
        ClassCase{8, 4, 2, "pdt", 32, 4, "interleaved", kEvenGpt, {1, 1}, {3}, 40},
        // Hosts whose ranks share cores: all hosts alike, then not.
        ClassCase{8, 4, 2, "dpt", 32, 4, "1f1b", kEvenGpt, {8, 2}, {8}, 4},
        ClassCase{8, 4, 2, "dpt", 32, 4, "zb-h1", kEvenGpt, {16, 3}, {}, 4},
        ClassCase{8, 4, 2, "dpt", 34, 4, "1f1b", kUnevenGpt, {16, 3}, {16}, 32},
        ClassCase{16, 2, 2, "tdp", 32, 2, "1f1b", kEvenGpt, {12, 2.5}, {12}, 64},
        // Links of their own: of two ranks, of two hosts.
        ClassCase{8, 4, 2, "dpt", 32, 4, "1f1b", kEvenGpt, {1, 1}, {8}, 32, {}, {}, {{{1, 1}, {9, 9}, {1e-3, 1e6}}}},
        ClassCase{8, 4, 2, "dpt", 32, 4, "zb-h1", kEvenGpt, {1, 1}, {8}, 12, {}, {}, {{{0, 7}, {8, 15}, {1e-3, 1e6}}}},
        // Devices of two kinds: of one replica, of one position of all, of a single rank.
        ClassCase{4, 4, 4, "dpt", 16, 4, "1f1b", kEvenGpt, {1, 1}, {16}, 8, {}, {16, 31}},
        ClassCase{4, 4, 4, "pdt", 21, 4, "zb-h1", kUnevenGpt, {1, 1}, {}, 64, {}, {16, 31}},
        ClassCase{8, 4, 2, "dpt", 32, 4, "1f1b", kEvenGpt, {8, 2}, {8}, 16, {}, {9, 9}}));

TEST(Hardware, SlowerDevicesMakeTheStepLonger) {
  ModelLayout layout([](std::int64_t samples) { return zoo_graph(kEvenGpt, samples); }, Mesh(2, 1, 1),
                     [] {
                       PartitionOptions options;
                       options.batch = 4;
                       return options;
                     }());
  const std::vector<Partition> ranks{layout.partition(0), layout.partition(1)};
  Hardware hardware = hardware_preset("a100-80g");
  auto slow = std::make_shared<Hardware>(hardware);
  slow->launch_seconds *= 3;
  hardware.others = {{1, 1, slow}};
  const TaskSeconds seconds = task_seconds(hardware, ranks, {}), slow_seconds = task_seconds(*slow, ranks, {});
  EXPECT_LT(seconds(ranks[0].tasks, 0), seconds(ranks[1].tasks, 0));
  EXPECT_EQ(seconds(ranks[1].tasks, 0), slow_seconds(ranks[1].tasks, 0));
}

TEST(RankClasses, AreTheRanksOfASmallerMesh) {
  const std::vector<int> replicas{0, 1, 0, 1}, tensors{0, 0, 1};
  const RankClasses classes(Mesh(4, 2, 3), classes_by<int>(replicas), classes_by<int>(tensors));
  EXPECT_EQ(std::vector(classes.first_ranks().begin(), classes.first_ranks().end()),
            (std::vector{0, 2, 3, 5, 6, 8, 9, 11}));
  EXPECT_EQ(classes.class_of(13), 0);  // d2 p0 t1 is as d0 p0 t0
  EXPECT_EQ(classes.class_of(23), 7);  // d3 p1 t2 is as d1 p1 t2
  EXPECT_EQ(classes.count(0), 4);
  EXPECT_EQ(classes.count(1), 2);
  EXPECT_EQ(classes.group_size(Axis::data), 2);
  EXPECT_EQ(classes.group_size(Axis::tensor), 2);
  EXPECT_EQ(classes.group_size(Axis::world), 8);
}

}  // namespace
}  // namespace dml::test
