// The tasks of all ranks together: what one sends another receives, and groups agree on the order of their collectives.
#include "parallel/build_tasks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "parallel/partition.h"
#include "tests/parallel/training_graphs.h"

namespace dml::test {
namespace {

struct Layout {
  int d = 1, p = 1, t = 1;
  int microbatches = 1;
  std::string schedule = "1f1b";
  std::string model = "gpt:layers=2,width=12,heads=3,seq=4,vocab=7,tied=1";
  std::int64_t batch = 6;
  bool clips = false;
  Techniques techniques = {};
};

/// Graphs by number of samples: every rank asks for the same ones.
GraphOfBatch cached(const std::string& source) {
  auto graphs = std::make_shared<std::map<std::int64_t, Graph>>();
  return [graphs, source](std::int64_t samples) {
    const auto found = graphs->find(samples);
    return found != graphs->end() ? found->second : graphs->emplace(samples, zoo_graph(source, samples)).first->second;
  };
}

std::vector<Partition> partitions(const Layout& layout) {
  const GraphOfBatch graph_of = cached(layout.model);
  const Mesh mesh(layout.d, layout.p, layout.t);
  PartitionOptions options;
  options.schedule = layout.schedule;
  options.batch = layout.batch;
  options.microbatches = layout.microbatches;
  options.tensor_auto = false;
  options.bucket_bytes = 512;
  options.clips = layout.clips;
  options.techniques = layout.techniques;
  std::vector<Partition> result;
  for (int rank = 0; rank < mesh.world_size(); ++rank) result.push_back(make_partition(graph_of, mesh, rank, options));
  return result;
}

using Transfer = std::tuple<std::int32_t, std::int32_t, std::int64_t>;  // value, microbatch, bytes
using Channel = std::tuple<int, int, int>;                              // from, to, channel

std::map<Channel, std::vector<Transfer>> transfers(const std::vector<Partition>& ranks, TaskKind kind) {
  std::map<Channel, std::vector<Transfer>> result;
  for (const Partition& rank : ranks) {
    for (const Task& task : rank.tasks.tasks) {
      if (task.kind != kind) continue;
      const Channel channel = kind == TaskKind::send ? Channel{rank.rank, task.peer, task.channel}
                                                     : Channel{task.peer, rank.rank, task.channel};
      result[channel].emplace_back(task.value, task.id.microbatch, rank.tasks.work_of(task).bytes);
    }
  }
  return result;
}

void expect_transfers_match(const std::vector<Partition>& ranks) {
  const auto sent = transfers(ranks, TaskKind::send);
  EXPECT_EQ(sent, transfers(ranks, TaskKind::receive));
  for (const auto& [channel, list] : sent) {
    const Mesh& mesh = ranks[0].mesh;
    const Coordinate from = mesh.coordinate(std::get<0>(channel));
    const Coordinate to = mesh.coordinate(std::get<1>(channel));
    EXPECT_EQ(std::abs(from.p - to.p), 1);
    EXPECT_TRUE(from.d == to.d && from.t == to.t);
  }
}

using Collective = std::tuple<TaskKind, Phase, std::int32_t, std::int32_t, std::int64_t, std::int64_t>;

/// The collectives of a rank on one axis, in order; those of ties are of the ranks that share them.
std::vector<Collective> collectives(const Partition& rank, Axis axis) {
  std::vector<Collective> result;
  for (const Task& task : rank.tasks.tasks) {
    if (task.kind != TaskKind::all_reduce && task.kind != TaskKind::all_gather) continue;
    if (task.axis != axis) continue;
    const bool flat = axis == Axis::data || axis == Axis::pipeline;
    result.emplace_back(task.kind, task.id.phase, flat || axis == Axis::world ? 0 : task.id.operation,
                        task.id.microbatch, rank.tasks.work_of(task).bytes, flat ? rank.tasks.work_of(task).count : 0);
  }
  return result;
}

void expect_groups_agree(const std::vector<Partition>& ranks) {
  const Mesh& mesh = ranks[0].mesh;
  for (const Partition& rank : ranks) {
    for (const Axis axis : {Axis::data, Axis::tensor}) {
      const auto& first = ranks[static_cast<std::size_t>(mesh.group(rank.rank, axis).front())];
      EXPECT_EQ(collectives(rank, axis), collectives(first, axis)) << "rank " << rank.rank << " " << letter_of(axis);
    }
    EXPECT_EQ(collectives(rank, Axis::world), collectives(ranks[0], Axis::world));
    EXPECT_EQ(collectives(rank, Axis::world).size(), 1U);
  }
}

/// One sum per tie on every rank that shares it, of as many elements.
void expect_ties_agree(const std::vector<Partition>& ranks) {
  for (const Partition& rank : ranks) {
    const std::vector<std::vector<int>> groups = rank.tied_groups();
    EXPECT_EQ(groups, ranks[0].tied_groups());
    std::vector<Collective> wanted;
    for (const Partition& other : ranks) {
      const auto found = collectives(other, Axis::pipeline);
      if (other.at.d == rank.at.d && other.at.t == rank.at.t && !found.empty()) wanted = found;
    }
    const bool member = std::any_of(groups.begin(), groups.end(), [&](const std::vector<int>& stages) {
      return std::any_of(stages.begin(), stages.end(), [&](int s) { return rank.placement.position(s) == rank.at.p; });
    });
    EXPECT_EQ(collectives(rank, Axis::pipeline), member ? wanted : std::vector<Collective>{});
  }
}

void expect_sound(const Partition& rank) {
  const std::vector<Task>& tasks = rank.tasks.tasks;
  std::set<TaskId> ids;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const Task& task = tasks[i];
    for (const std::int32_t dep : rank.tasks.deps_of(task)) {
      EXPECT_GE(dep, 0);
      EXPECT_LT(dep, static_cast<std::int32_t>(i)) << task.id.to_string();
    }
    const bool is_node = task.node != kNone;
    if (is_node) {
      EXPECT_TRUE(ids.insert(task.id).second) << task.id.to_string() << " twice";
    }
    EXPECT_EQ(task.id.replica, rank.at.d);
    EXPECT_EQ(task.id.tensor, rank.at.t);
  }
  EXPECT_EQ(std::count_if(tasks.begin(), tasks.end(), [](const Task& t) { return t.kind == TaskKind::update; }), 1);
  EXPECT_EQ(tasks.back().kind, TaskKind::update);
}

void expect_sound(const Layout& layout) {
  SCOPED_TRACE(::testing::Message() << "d=" << layout.d << " p=" << layout.p << " t=" << layout.t
                                    << " m=" << layout.microbatches << " " << layout.schedule << " " << layout.model);
  const std::vector<Partition> ranks = partitions(layout);
  expect_transfers_match(ranks);
  expect_groups_agree(ranks);
  expect_ties_agree(ranks);
  for (const Partition& rank : ranks) expect_sound(rank);
}

TEST(BuildTasks, PipelinesOfAllSizes) {
  for (const char* schedule : {"1f1b", "gpipe"}) {
    for (const int p : {2, 3, 4}) {
      for (const int m : {1, 2, 3, 5}) expect_sound({1, p, 1, m, schedule});
    }
  }
}

TEST(BuildTasks, AllAxesTogether) {
  expect_sound({2, 2, 2, 3, "1f1b"});
  expect_sound({3, 1, 1, 2, "gpipe"});
  expect_sound({1, 1, 3, 2, "1f1b"});
  expect_sound({2, 3, 1, 2, "gpipe", "mlp:in=5,hidden=6x7x8,out=4"});
  expect_sound({1, 2, 2, 4, "1f1b", "mlp:in=5,hidden=6x7x8,out=4"});
}

TEST(BuildTasks, EveryNodeRunsOncePerMicrobatch) {
  const std::vector<Partition> ranks = partitions({1, 3, 1, 2, "1f1b"});
  std::map<std::pair<NodeId, int>, int> runs;
  for (const Partition& rank : ranks) {
    for (const Task& task : rank.tasks.tasks) {
      if (task.node != kNone) ++runs[{task.node, task.id.microbatch}];
    }
  }
  const Graph& graph = ranks[0].split().graph;
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    if (graph.node(id).op->is_alias || !ranks[0].map->lives(id)) continue;
    for (int m = 0; m < 2; ++m) EXPECT_EQ((runs[{id, m}]), 1) << graph.node(id).name;
  }
}

TEST(BuildTasks, GradientSumsStartBeforeTheBackwardPassEnds) {
  for (const int p : {1, 2}) {
    for (const Partition& rank : partitions({2, p, 1, 2, "1f1b", "gpt:layers=2,width=12,heads=3,seq=4,vocab=7"})) {
      const std::vector<Task>& tasks = rank.tasks.tasks;
      std::size_t last_backward = 0;
      std::size_t first_sum = tasks.size();
      std::vector<bool> summed(static_cast<std::size_t>(rank.layout.size), false);
      for (std::size_t i = 0; i < tasks.size(); ++i) {
        const Phase phase = tasks[i].id.phase;
        if (tasks[i].kind == TaskKind::compute && (phase == Phase::input_grad || phase == Phase::weight_grad))
          last_backward = i;
        if (tasks[i].kind != TaskKind::all_reduce || tasks[i].axis != Axis::data) continue;
        first_sum = std::min(first_sum, i);
        EXPECT_GT(tasks[i].num_deps, 0);
        const Work& work = rank.tasks.work_of(tasks[i]);
        for (std::int64_t at = work.begin; at < work.begin + work.count; ++at) {
          EXPECT_FALSE(summed[static_cast<std::size_t>(at)]);
          summed[static_cast<std::size_t>(at)] = true;
        }
      }
      EXPECT_LT(first_sum, last_backward);
      for (const Segment& segment : rank.layout.segments) EXPECT_TRUE(summed[static_cast<std::size_t>(segment.begin)]);
    }
  }
}

// The totals wait for the last addend of every gradient, and the update for the totals if it clips.
TEST(BuildTasks, TheUpdateWaitsForTheNormOnlyIfItClips) {
  for (const bool clips : {false, true}) {
    Layout layout;
    layout.clips = clips;
    const std::vector<Partition> ranks = partitions(layout);
    const std::vector<Task>& tasks = ranks[0].tasks.tasks;
    const auto deps = ranks[0].tasks.deps_of(tasks.back());
    const bool waits = std::any_of(deps.begin(), deps.end(), [&](std::int32_t dep) {
      return tasks[static_cast<std::size_t>(dep)].axis == Axis::world &&
             tasks[static_cast<std::size_t>(dep)].kind == TaskKind::all_reduce;
    });
    EXPECT_EQ(waits, clips);
  }
}

TEST(BuildTasks, IdsAreReadable) {
  const TaskId id{.phase = Phase::forward, .operation = 37, .microbatch = 2, .stage = 1, .tensor = 1, .replica = 0};
  EXPECT_EQ(id.to_string(), "F.m2.s1.d0.t1.n37");
  EXPECT_LT(id, TaskId{.phase = Phase::input_grad});
}

TEST(Partition, DividesTheBatch) {
  const std::vector<Partition> ranks = partitions({2, 1, 1, 3, "1f1b", "mlp:in=5,hidden=6,out=4", 11});
  EXPECT_EQ(ranks[0].sizes, (std::vector<std::int64_t>{1, 2, 2}));
  EXPECT_EQ(ranks[1].sizes, (std::vector<std::int64_t>{2, 2, 2}));
  EXPECT_EQ(ranks[1].first_samples, (std::vector<std::int64_t>{5, 7, 9}));
  EXPECT_EQ(ranks[0].graphs.size(), 2U);
}

/// Bytes of the tasks of a kind that exchange weights or gradients between replicas.
std::int64_t bytes_between_replicas(const Partition& rank, TaskKind kind) {
  std::int64_t bytes = 0;
  for (const Task& task : rank.tasks.tasks) {
    if (task.kind == kind && task.axis == Axis::data && task.queue == QueueId::data_comm)
      bytes += rank.tasks.work_of(task).bytes;
  }
  return bytes;
}

TEST(ZeroTasks, ScatterGradientsAndGatherWeightsByTheStage) {
  constexpr int kMicrobatches = 2;
  for (int zero = 0; zero <= Techniques::kMostZero; ++zero) {
    const std::vector<Partition> ranks = partitions({.d = 2,
                                                     .p = 2,
                                                     .microbatches = kMicrobatches,
                                                     .model = "gpt:layers=2,width=12,heads=3,seq=4,vocab=7",
                                                     .techniques = {.zero = zero}});
    for (const Partition& rank : ranks) {
      std::int64_t summed = 0;  // with what pads the segments of a bucket
      for (const Bucket& bucket : rank.layout.buckets) summed += bucket.count * 4;
      EXPECT_EQ(bytes_between_replicas(rank, TaskKind::all_reduce), zero == 0 ? summed : 0);
      const int sums = zero == 0 ? 0 : zero == 1 ? 1 : kMicrobatches;
      EXPECT_EQ(bytes_between_replicas(rank, TaskKind::reduce_scatter), sums * summed);
      const int gathers = zero == 0 ? 0 : zero < 3 ? 1 : 2 * kMicrobatches;
      std::int64_t weights = 0;
      for (const Segment& segment : rank.layout.segments) weights += segment.count * 4;
      EXPECT_EQ(bytes_between_replicas(rank, TaskKind::all_gather), gathers * weights);
      const Task& update = *std::find_if(rank.tasks.tasks.begin(), rank.tasks.tasks.end(),
                                         [](const Task& task) { return task.kind == TaskKind::update; });
      EXPECT_EQ(rank.tasks.work_of(update).count,
                zero == 0 ? rank.layout.size : part_size(rank.layout.size, 2, rank.at.d));
      std::set<TaskId> ids;
      for (const Task& task : rank.tasks.tasks) EXPECT_TRUE(ids.insert(task.id).second) << task.id.to_string();
    }
  }
}

}  // namespace
}  // namespace dml::test
