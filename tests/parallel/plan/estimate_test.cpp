// Estimates of layouts: against the tasks that the runtime would execute, and the simulation of the whole step.
#include "parallel/plan/estimate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/parallel/verify/partitions.h"

namespace dml::test {
namespace {

constexpr const char* kModel = "gpt:layers=6,width=48,heads=4,seq=32,vocab=64";

/// A processor without launch costs, so that sizes matter; links as fast as memory by default.
Hardware small_hardware() {
  Hardware hardware;
  hardware.name = "small";
  hardware.launch_seconds = 1e-7;
  hardware.peaks = {.f32_flops = 50e9, .memory_bytes_per_s = 20e9};
  hardware.levels = {{1 << 30, {2e-6, 5e9}, CollectiveAlgorithm::automatic}};
  return hardware;
}

struct EstimateCase {
  int d = 1, p = 1, t = 1, microbatches = 1;
  const char* schedule = "1f1b";
  int chunks = 1;
  SplitMode mode = SplitMode::megatron;
  const char* model = kModel;
  std::int64_t batch = 16;
  double tolerance = 0.005;  ///< of the time
  Techniques techniques = {};
  double dispatch_seconds = 0, step_seconds = 0;
};

std::string text_of(const EstimateCase& c) {
  return "d=" + std::to_string(c.d) + " p=" + std::to_string(c.p) + " t=" + std::to_string(c.t) +
         " m=" + std::to_string(c.microbatches) + " " + c.schedule;
}

/// A layout, as its estimate sees it and as all of its tasks.
class EstimatedWorld {
 public:
  explicit EstimatedWorld(const EstimateCase& c, bool clips = false)
      : graphs_(c.model, c.techniques),
        cuts_([this](std::int64_t samples) { return graphs_.of(samples); }, samples_of(c)),
        hardware_(small_hardware()),
        mesh_(c.d, c.p, c.t) {
    hardware_.dispatch_seconds = c.dispatch_seconds;
    hardware_.step_seconds = c.step_seconds;
    layout_ = {.d = c.d,
               .p = c.p,
               .t = c.t,
               .schedule = &find_schedule(c.schedule),
               .chunks = c.chunks,
               .microbatches = c.microbatches,
               .mode = c.mode,
               .techniques = c.techniques};
    options_.batch = c.batch;
    options_.clips = clips;
    options_.bucket_bytes = 64 << 10;
    options_.hosts = hosts_of(hardware_, mesh_.world_size(), mesh_.world_size());
    PartitionOptions partition;
    partition.schedule = c.schedule;
    partition.chunks = c.chunks;
    partition.batch = c.batch;
    partition.microbatches = c.microbatches;
    partition.tensor_auto = false;
    partition.tensor_mode = c.mode;
    partition.bucket_bytes = options_.bucket_bytes;
    partition.clips = clips;
    partition.techniques = c.techniques;
    const GraphOfBatch graph_of = [this](std::int64_t samples) { return graphs_.of(samples); };
    for (int rank = 0; rank < mesh_.world_size(); ++rank) {
      ranks_.push_back(make_partition(graph_of, mesh_, rank, partition));
      tasks_.push_back(ranks_.back().tasks);
    }
  }

  static std::int64_t samples_of(const EstimateCase& c) {
    const std::int64_t part = (c.batch + c.d - 1) / c.d;
    return (part + c.microbatches - 1) / c.microbatches;
  }

  StepEstimate estimate() {
    ScheduleCache schedules;
    return Estimator(cuts_, schedules, hardware_, options_).estimate(layout_);
  }
  SimulatedStep simulated() {
    return simulate_step(tasks_, mesh_, options_.hosts, task_seconds(hardware_, ranks_, options_.mode));
  }

  EstimateOptions& options() { return options_; }
  const std::vector<Partition>& ranks() const { return ranks_; }
  double moved(TaskKind kind, QueueId queue) const {
    double bytes = 0;
    for (const RankTasks& rank : tasks_) {
      for (const Task& task : rank.tasks) {
        const bool counts = task.kind == kind && task.queue == queue && task.axis != Axis::world;
        if (counts) bytes += static_cast<double>(rank.work_of(task).bytes);
      }
    }
    return bytes;
  }

 private:
  ModelGraphs graphs_;
  CutModel cuts_;
  Hardware hardware_;
  Mesh mesh_;
  LayoutChoice layout_;
  EstimateOptions options_;
  std::vector<Partition> ranks_;
  std::vector<RankTasks> tasks_;
};

class EstimateOfLayout : public testing::TestWithParam<EstimateCase> {};

TEST_P(EstimateOfLayout, IsNearTheSimulationOfAllItsTasks) {
  EstimatedWorld world(GetParam());
  const double estimated = world.estimate().seconds;
  const double simulated = world.simulated().seconds;
  RecordProperty("error_percent", std::to_string(100 * (estimated / simulated - 1)));
  EXPECT_NEAR(estimated / simulated, 1, GetParam().tolerance);
}

TEST_P(EstimateOfLayout, OfRanksThatShareCoresIsNearToo) {
  EstimatedWorld world(GetParam());
  world.options().hosts.cores.at_full_speed = 2;
  const double estimated = world.estimate().seconds;
  const double simulated = world.simulated().seconds;
  RecordProperty("error_percent", std::to_string(100 * (estimated / simulated - 1)));
  EXPECT_NEAR(estimated / simulated, 1, 0.15);
}

TEST_P(EstimateOfLayout, MovesTheBytesOfItsTasks) {
  EstimatedWorld world(GetParam());
  const MovedBytes moved = world.estimate().moved;
  EXPECT_DOUBLE_EQ(moved.tensor, world.moved(TaskKind::all_reduce, QueueId::tensor_comm) +
                                     world.moved(TaskKind::all_gather, QueueId::tensor_comm) +
                                     world.moved(TaskKind::reduce_scatter, QueueId::tensor_comm));
  EXPECT_DOUBLE_EQ(moved.pipeline, world.moved(TaskKind::send, QueueId::pipeline_send));
  EXPECT_DOUBLE_EQ(moved.gradients, world.moved(TaskKind::all_reduce, QueueId::data_comm));
}

TEST_P(EstimateOfLayout, HoldsTheFlatBuffersOfItsRanks) {
  EstimatedWorld world(GetParam());
  const MemoryUse memory = world.estimate().memory;
  double largest = 0;
  for (const Partition& rank : world.ranks()) largest = std::max(largest, 4.0 * static_cast<double>(rank.layout.size));
  EXPECT_LE(memory.parameters, largest);
  EXPECT_EQ(memory.gradients, memory.parameters);
  EXPECT_EQ(memory.optimizer_states, 2 * memory.parameters);
  const double expected = GetParam().p == 1 ? largest : memory.parameters;
  EXPECT_EQ(memory.parameters, expected);
}

// What is refused before its order is made would be refused by it.
TEST_P(EstimateOfLayout, FitsInItsOwnMemoryAndInNoLess) {
  EstimatedWorld world(GetParam());
  const double needed = world.estimate().memory.total();
  world.options().memory_limit = needed;
  EXPECT_NO_THROW(world.estimate());
  world.options().memory_limit = needed * 0.999;
  EXPECT_THROW(world.estimate(), ImpossibleLayout);
}

TEST_P(EstimateOfLayout, DividesTheStepExactly) {
  for (const bool clips : {false, true}) {
    const StepEstimate estimate = EstimatedWorld(GetParam(), clips).estimate();
    const StepParts& parts = estimate.parts;
    const double sum = parts.compute + parts.core_wait + parts.exposed_comm + parts.bubble;
    EXPECT_NEAR(sum / estimate.seconds, 1, 1e-11);
    for (const double part : {parts.compute, parts.core_wait, parts.exposed_comm, parts.bubble}) EXPECT_GE(part, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Layouts, EstimateOfLayout,
    testing::Values(
        EstimateCase{}, EstimateCase{.microbatches = 4}, EstimateCase{.d = 2}, EstimateCase{.d = 4},
        EstimateCase{.t = 2}, EstimateCase{.t = 4, .mode = SplitMode::gather}, EstimateCase{.p = 2, .microbatches = 4},
        EstimateCase{.p = 3, .microbatches = 8}, EstimateCase{.p = 4, .microbatches = 16, .schedule = "gpipe"},
        EstimateCase{.p = 2, .microbatches = 4, .schedule = "interleaved", .chunks = 2},
        EstimateCase{.p = 4, .microbatches = 8, .schedule = "zb-h1"},
        EstimateCase{.p = 4, .microbatches = 8, .schedule = "zb-2p"},
        EstimateCase{.p = 2, .microbatches = 4, .schedule = "zb-v", .chunks = 2},
        EstimateCase{.p = 2, .microbatches = 4, .schedule = "1f1b-overlap"},
        EstimateCase{.d = 2, .p = 2, .t = 2, .microbatches = 4},
        EstimateCase{.d = 2, .p = 2, .t = 2, .microbatches = 8, .schedule = "zb-h2"},
        EstimateCase{.t = 2, .techniques = {.sequence_parallel = true}},
        EstimateCase{.d = 2, .p = 2, .t = 2, .microbatches = 4, .techniques = {.sequence_parallel = true}},
        // The sums of the norms' gradients end behind their pass of weight gradients, where the next one hides them.
        EstimateCase{.p = 2,
                     .t = 4,
                     .microbatches = 4,
                     .schedule = "zb-h1",
                     .tolerance = 0.01,
                     .techniques = {.recompute = Recompute::full, .sequence_parallel = true}},
        // Hosts that take longer to issue most passes than their devices to compute them, and all of them.
        EstimateCase{.p = 2, .microbatches = 4, .dispatch_seconds = 20e-6, .step_seconds = 1e-3},
        EstimateCase{.d = 2, .p = 2, .t = 2, .microbatches = 4, .dispatch_seconds = 1e-4},
        // Sizes between powers of two, parts of several sizes, and weights of two stages.
        EstimateCase{.p = 2, .microbatches = 4, .batch = 24, .tolerance = 0.02},
        EstimateCase{.d = 3, .p = 2, .microbatches = 2, .batch = 23, .tolerance = 0.05},
        EstimateCase{.d = 2,
                     .p = 2,
                     .microbatches = 4,
                     .model = "gpt:layers=4,width=48,heads=4,seq=32,vocab=64,tied=1",
                     .tolerance = 0.02},
        // Many gradients for little work: sums in a row take longer than sums that know nothing of each
        // other, as the simulation has them.
        EstimateCase{
            .d = 2, .p = 2, .microbatches = 2, .model = "mlp:in=64,hidden=256x256x256x256,out=10", .tolerance = 0.1}),
    [](const auto& info) {
      std::string name = text_of(info.param) + "_" + std::to_string(info.index);
      std::replace_if(
          name.begin(), name.end(), [](char c) { return std::isalnum(c) == 0; }, '_');
      return name;
    });

}  // namespace
}  // namespace dml::test
