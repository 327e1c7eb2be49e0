// A step in time: against hand-made ranks, against the schedule alone, and on the tasks of real layouts.
#include "parallel/simulate/step_simulation.h"

#include <gtest/gtest.h>

#include <map>

#include "parallel/partition.h"
#include "parallel/simulate/schedule_simulation.h"
#include "tests/parallel/training_graphs.h"

namespace dml::test {
namespace {

const Hosts kOwnCores;

Task compute(int operation) {
  Task task;
  task.id.operation = operation;
  return task;
}

Task transfer(TaskKind kind, int peer, int operation) {
  Task task = compute(operation);
  task.kind = kind;
  task.queue = kind == TaskKind::send ? QueueId::pipeline_send : QueueId::pipeline_receive;
  task.axis = Axis::pipeline;
  task.peer = peer;
  return task;
}

Task sum_over_replicas(int operation) {
  Task task = compute(operation);
  task.kind = TaskKind::all_reduce;
  task.queue = QueueId::data_comm;
  task.axis = Axis::data;
  return task;
}

/// Tasks with what each waits for.
RankTasks rank_of(int rank, const std::vector<std::pair<Task, std::vector<std::int32_t>>>& tasks) {
  RankTasks result;
  result.rank = rank;
  for (auto [task, deps] : tasks) {
    task.first_dep = static_cast<std::int32_t>(result.deps.size());
    task.num_deps = static_cast<std::int32_t>(deps.size());
    result.deps.insert(result.deps.end(), deps.begin(), deps.end());
    result.tasks.push_back(task);
  }
  return result;
}

TaskSeconds by_kind(double computes, double moves) {
  return
      [=](const RankTasks& rank, std::size_t i) { return rank.tasks[i].queue == QueueId::compute ? computes : moves; };
}

TEST(StepSimulation, AReceiverWaitsForItsSender) {
  const std::vector<RankTasks> ranks{
      rank_of(0, {{compute(0), {}}, {transfer(TaskKind::send, 1, 1), {0}}, {compute(2), {}}}),
      rank_of(1, {{transfer(TaskKind::receive, 0, 1), {}}, {compute(2), {0}}})};
  const SimulatedStep step = simulate_step(ranks, Mesh(1, 2, 1), kOwnCores, by_kind(2, 0.5));
  EXPECT_DOUBLE_EQ(step.seconds, 4.5);
  EXPECT_DOUBLE_EQ(step.parts[1].bubble, 2.5);
  EXPECT_DOUBLE_EQ(step.parts[1].compute, 2);
  EXPECT_DOUBLE_EQ(step.parts[0].step, 4);  // it sends while it computes
  EXPECT_DOUBLE_EQ(step.timeline.spans[1].start, 2);
  EXPECT_DOUBLE_EQ(step.timeline.spans[1].end, 2.5);
}

// Ranks 0 and 1 are a host, 2 and 3 another; each replica of two stages has a rank on both.
TEST(StepSimulation, MessagesShareTheLinksOfTheirHosts) {
  const auto send = [](int r) { return rank_of(r, {{compute(0), {}}, {transfer(TaskKind::send, r + 2, 1), {0}}}); };
  const auto receive = [](int r) { return rank_of(r, {{transfer(TaskKind::receive, r - 2, 1), {}}}); };
  const std::vector<RankTasks> ranks{send(0), send(1), receive(2), receive(3)};
  const Mesh mesh(2, 2, 1, "pdt");
  Hosts hosts = kOwnCores;
  EXPECT_DOUBLE_EQ(simulate_step(ranks, mesh, hosts, by_kind(2, 0.5)).seconds, 2.5);
  hosts.uplinks.ranks = 2;
  EXPECT_DOUBLE_EQ(simulate_step(ranks, mesh, hosts, by_kind(2, 0.5)).seconds, 3);
  hosts.uplinks.ranks = 4;
  EXPECT_DOUBLE_EQ(simulate_step(ranks, mesh, hosts, by_kind(2, 0.5)).seconds, 2.5) << "within a host";
}

TEST(StepSimulation, TasksBesideCommunicationAreSlower) {
  const std::vector<RankTasks> ranks{
      rank_of(0, {{sum_over_replicas(1), {}}}),
      rank_of(1, {{sum_over_replicas(1), {}}, {compute(2), {}}, {compute(3), {}}, {compute(4), {0}}})};
  Hosts hosts = kOwnCores;
  EXPECT_DOUBLE_EQ(simulate_step(ranks, Mesh(2, 1, 1), hosts, by_kind(1, 2.5)).seconds, 3.5);
  hosts.overlap_slowdown = 1.25;
  const SimulatedStep slowed = simulate_step(ranks, Mesh(2, 1, 1), hosts, by_kind(1, 2.5));
  EXPECT_DOUBLE_EQ(slowed.timeline.spans[2].end, 1.25);
  EXPECT_DOUBLE_EQ(slowed.timeline.spans[3].end, 2.5);
  EXPECT_DOUBLE_EQ(slowed.seconds, 3.5);
  EXPECT_DOUBLE_EQ(slowed.parts[1].compute, 3);
  EXPECT_DOUBLE_EQ(slowed.parts[1].core_wait, 0.5);
  const SimulatedStep partly = simulate_step(ranks, Mesh(2, 1, 1), hosts, by_kind(2, 2.5));
  EXPECT_DOUBLE_EQ(partly.timeline.spans[2].end, 2.5);
  EXPECT_DOUBLE_EQ(partly.seconds, 6.5) << "the second and the third run alone";
}

TEST(StepSimulation, ACollectiveBeginsWithItsLastRank) {
  const auto rank = [](int r, bool late) {
    std::vector<std::pair<Task, std::vector<std::int32_t>>> tasks{{compute(0), {}}};
    if (late) tasks.push_back({compute(1), {}});
    tasks.push_back({sum_over_replicas(2), {static_cast<std::int32_t>(tasks.size()) - 1}});
    return rank_of(r, tasks);
  };
  const SimulatedStep step =
      simulate_step(std::vector{rank(0, false), rank(1, true)}, Mesh(2, 1, 1), kOwnCores, by_kind(1, 0.25));
  EXPECT_DOUBLE_EQ(step.seconds, 2.25);
  EXPECT_DOUBLE_EQ(step.parts[0].exposed_comm, 1.25);
  EXPECT_DOUBLE_EQ(step.parts[1].exposed_comm, 0.25);
}

TEST(StepSimulation, CoresCommunicateBetweenTasks) {
  std::vector<RankTasks> ranks;
  for (int r = 0; r < 2; ++r) {
    ranks.push_back(rank_of(r, {{compute(0), {}}, {sum_over_replicas(1), {0}}, {compute(2), {}}, {compute(3), {}}}));
  }
  const Hosts hosts{.cores = {1, 1}, .cores_communicate = true};
  const SimulatedStep step = simulate_step(ranks, Mesh(2, 1, 1), hosts, by_kind(1, 0.25));
  // Rank 0 posts first, and computes when rank 1 posts: the sum is taken up after the second task.
  EXPECT_DOUBLE_EQ(step.timeline.spans[1].end, 2.25);
  EXPECT_DOUBLE_EQ(step.timeline.spans[3].start, 2.25);
  EXPECT_DOUBLE_EQ(step.seconds, 3.25);
  EXPECT_DOUBLE_EQ(step.parts[0].exposed_comm, 0.25);
  EXPECT_DOUBLE_EQ(step.parts[0].compute, 3);
}

TEST(StepSimulation, WhereCoresCommunicateAMessageDelaysItsReceiver) {
  const std::vector<RankTasks> ranks{
      rank_of(0, {{compute(0), {}}, {transfer(TaskKind::send, 1, 1), {0}}, {compute(2), {}}}),
      rank_of(1, {{transfer(TaskKind::receive, 0, 1), {}}, {compute(2), {}}, {compute(3), {0}}})};
  const Hosts hosts{.cores = {1, 1}, .cores_communicate = true};
  const SimulatedStep step = simulate_step(ranks, Mesh(1, 2, 1), hosts, by_kind(2, 0.5));
  EXPECT_DOUBLE_EQ(step.parts[0].step, 4);
  EXPECT_DOUBLE_EQ(step.timeline.spans[5].start, 2.5);
  EXPECT_DOUBLE_EQ(step.seconds, 4.5);
}

TEST(StepSimulation, RanksShareTheCoresOfAHost) {
  std::vector<RankTasks> ranks;
  for (int r = 0; r < 4; ++r) {
    std::vector<std::pair<Task, std::vector<std::int32_t>>> tasks{{compute(0), {}}};
    if (r == 3) tasks.push_back({compute(1), {}});
    ranks.push_back(rank_of(r, tasks));
  }
  const SimulatedStep step = simulate_step(ranks, Mesh(4, 1, 1), {{4, 2}}, by_kind(1, 0));
  EXPECT_DOUBLE_EQ(step.parts[0].step, 2);  // four at half the speed
  EXPECT_DOUBLE_EQ(step.parts[0].core_wait, 1);
  EXPECT_DOUBLE_EQ(step.parts[3].step, 3);  // then one alone
  EXPECT_DOUBLE_EQ(step.parts[3].core_wait, 1);
}

TEST(StepSimulation, RefusesWhatNeverEnds) {
  const std::vector<RankTasks> lonely{rank_of(0, {{transfer(TaskKind::receive, 1, 1), {}}}), rank_of(1, {})};
  EXPECT_THROW(simulate_step(lonely, Mesh(1, 2, 1), kOwnCores, by_kind(1, 1)), std::invalid_argument);
  const std::vector<RankTasks> crossed{
      rank_of(0, {{transfer(TaskKind::receive, 1, 1), {}}, {transfer(TaskKind::send, 1, 2), {0}}}),
      rank_of(1, {{transfer(TaskKind::receive, 0, 2), {}}, {transfer(TaskKind::send, 0, 1), {0}}})};
  EXPECT_THROW(simulate_step(crossed, Mesh(1, 2, 1), kOwnCores, by_kind(1, 1)), std::invalid_argument);
}

struct Layout {
  int d, p, t, microbatches;
  const char* schedule;
};

std::vector<Partition> partitions(const Layout& layout, const std::string& model) {
  const Mesh mesh(layout.d, layout.p, layout.t);
  PartitionOptions options;
  options.schedule = layout.schedule;
  options.batch = 8;
  options.microbatches = layout.microbatches;
  std::map<std::int64_t, Graph> graphs;
  const GraphOfBatch graph_of = [&](std::int64_t samples) {
    return graphs.try_emplace(samples, zoo_graph(model, samples)).first->second;
  };
  std::vector<Partition> result;
  for (int rank = 0; rank < mesh.world_size(); ++rank) result.push_back(make_partition(graph_of, mesh, rank, options));
  return result;
}

std::vector<RankTasks> tasks_of(const std::vector<Partition>& ranks) {
  std::vector<RankTasks> tasks;
  for (const Partition& rank : ranks) tasks.push_back(rank.tasks);
  return tasks;
}

/// What passes of a stage cost when every task takes a second.
std::vector<StageCost> costs_by_tasks(const std::vector<Partition>& ranks) {
  std::vector<StageCost> costs;
  for (int stage = 0; stage < ranks[0].placement.num_stages(); ++stage) {
    StageCost& cost = costs.emplace_back(StageCost{0, 0, 0, 0, 0, 0});
    for (const Partition& rank : ranks) {
      for (const Task& task : rank.tasks.tasks) {
        if (task.queue != QueueId::compute || task.id.stage != stage || task.id.microbatch != 0) continue;
        if (task.id.phase == Phase::forward) ++cost.forward;
        if (task.id.phase == Phase::input_grad) ++cost.input_grad;
        if (task.id.phase == Phase::weight_grad) ++cost.weight_grad;
      }
    }
    cost.overlapped = cost.forward + cost.input_grad + cost.weight_grad;
  }
  return costs;
}

TEST(StepSimulation, AStepOfStagesIsItsScheduleAndTheUpdate) {
  for (const char* schedule : {"gpipe", "1f1b", "interleaved", "zb-h1", "zb-v"}) {
    const std::vector<Partition> ranks =
        partitions({1, 2, 1, 4, schedule}, "gpt:layers=4,width=12,heads=3,seq=4,vocab=7,tied=0");
    const SimulatedStep step =
        simulate_step(tasks_of(ranks), ranks[0].mesh, kOwnCores, [](const RankTasks& r, std::size_t i) {
          const Task& task = r.tasks[i];
          return task.queue == QueueId::compute && task.id.phase != Phase::update ? 1.0 : 0.0;
        });
    const ScheduleTimes alone =
        simulate(ranks[0].orders, {.placement = ranks[0].placement, .microbatches = 4, .costs = costs_by_tasks(ranks)});
    // Operation by operation a result can leave before its pass is over, and a pass begin before all its inputs are
    // there.
    EXPECT_LE(step.seconds, alone.makespan) << schedule;
    EXPECT_GE(step.seconds, 0.8 * alone.makespan) << schedule;
  }
}

TEST(StepSimulation, PartsSumToTheStep) {
  for (const Layout& layout : {Layout{2, 2, 2, 3, "1f1b"}, Layout{1, 1, 1, 1, "1f1b"}, Layout{3, 1, 2, 2, "gpipe"}}) {
    const std::vector<Partition> ranks = partitions(layout, "gpt:layers=2,width=12,heads=3,seq=4,vocab=7,tied=1");
    const SimulatedStep step = simulate_step(tasks_of(ranks), ranks[0].mesh, {{4, 2}}, by_kind(1e-3, 4e-4));
    for (const StepParts& parts : step.parts) {
      EXPECT_NEAR(parts.compute + parts.core_wait + parts.exposed_comm + parts.bubble, parts.step, 1e-9);
    }
    for (const Span& span : step.timeline.spans) {
      EXPECT_GE(span.start, 0);
      EXPECT_GE(span.end, span.start);
      EXPECT_LE(span.end, step.seconds);
    }
  }
}

}  // namespace
}  // namespace dml::test
