// What the executor measures, and what its errors say.
#include "runtime/program/executor.h"

#include <gtest/gtest.h>

#include "tests/runtime/training_world.h"

namespace dml::test {
namespace {

Training mlp() {
  Training training;
  training.graph_of = [](std::int64_t samples) { return zoo_graph("mlp:in=7,hidden=10x9,out=5", samples); };
  return training;
}

TEST(Executor, StampsEveryTaskWithinTheStep) {
  const Training training = mlp();
  on_all_ranks(training, {1, 2, 2, 3}, [&](RankState& state, const Dataset& data) {
    for (int step = 0; step < 2; ++step) {
      run_step(state, data, training, step);
      const Executor& executor = state.executor();
      const auto& tasks = state.partition().tasks;
      ASSERT_EQ(executor.spans().size(), tasks.tasks.size());
      for (const Span& span : executor.spans()) {
        const Task& task = tasks.tasks[static_cast<std::size_t>(span.task)];
        EXPECT_EQ(span.rank, state.partition().rank);
        EXPECT_GE(span.start, 0) << task.id.to_string();
        EXPECT_GE(span.end, span.start) << task.id.to_string();
        EXPECT_LE(span.end, executor.parts().step) << task.id.to_string();
        const bool is_communication = task.queue != QueueId::compute;
        for (const std::int32_t dep : tasks.deps_of(task)) {
          const Span& before = executor.spans()[static_cast<std::size_t>(dep)];
          const bool ordered = is_communication || before.end <= span.start;
          EXPECT_TRUE(ordered) << task.id.to_string() << " starts before its input is there";
        }
      }
    }
  });
}

TEST(Executor, SpansKeepTheBeginOfTheirStepWhileOthersAreReplayed) {
  struct Nothing final : Recording {
    void replay() override {}
  };
  const Training training = mlp();
  on_all_ranks(training, {1, 1, 1}, [&](RankState& state, const Dataset& data) {
    Executor& executor = state.executor();
    run_step(state, data, training, 0);
    const auto began = executor.spans_began();
    Nothing recording;
    executor.begin_step();
    executor.replay(recording);
    executor.end_step(nullptr, 0);
    executor.finish_step();
    EXPECT_EQ(executor.spans_began(), began);
    run_step(state, data, training, 1);
    EXPECT_GT(executor.spans_began(), began);
  });
}

TEST(Executor, PartsSumToTheStep) {
  const Training training = mlp();
  on_all_ranks(training, {2, 2, 1, 2}, [&](RankState& state, const Dataset& data) {
    for (int step = 0; step < 3; ++step) {
      run_step(state, data, training, step);
      const Breakdown& parts = state.executor().parts();
      const double sum = parts.compute + parts.core_wait + parts.exposed_comm + parts.bubble + parts.other;
      EXPECT_NEAR(sum, parts.step, 0.01 * parts.step);
      for (const double part : {parts.compute, parts.core_wait, parts.exposed_comm, parts.bubble, parts.other}) {
        EXPECT_GE(part, -0.001 * parts.step);
      }
      EXPECT_LE(parts.comm, parts.step);
      const double tasks =
          state.executor().forward_seconds() + state.executor().backward_seconds() + state.executor().update_seconds();
      EXPECT_LE(parts.compute, tasks + 0.001 * parts.step);
      EXPECT_LE(tasks, parts.step);
    }
  });
}

TEST(Executor, CountsCommunicationByKindAndAxis) {
  const Training training = mlp();
  on_all_ranks(training, {2, 2, 1, 3}, [&](RankState& state, const Dataset& data) {
    run_step(state, data, training, 0);
    std::int64_t sends = 0, receives = 0, sums = 0;
    for (const Executor::CommTime& time : state.executor().comm_times()) {
      if (time.kind == TaskKind::send) sends += time.count;
      if (time.kind == TaskKind::receive) receives += time.count;
      if (time.kind == TaskKind::all_reduce && time.axis == Axis::data) sums += time.count;
      EXPECT_GT(time.bytes, 0);
      EXPECT_GE(time.seconds, 0);
    }
    EXPECT_EQ(sends, 3);
    EXPECT_EQ(receives, 3);
    EXPECT_EQ(sums, static_cast<std::int64_t>(state.partition().layout.buckets.size()));
  });
}

TEST(Executor, ALostPeerIsNamedWithTheTaskThatNeedsIt) {
  const Training training = mlp();
  std::string message;
  try {
    on_all_ranks(training, {1, 1, 2}, [&](RankState& state, const Dataset& data) {
      const bool leaves = state.partition().rank == 1;
      try {
        for (int step = 0; step < (leaves ? 1 : 2); ++step) run_step(state, data, training, step);
        state.groups().world->fail("went away");
      } catch (const CommError& error) {
        message = error.what();
        throw;
      }
    });
    FAIL() << "no error";
  } catch (const CommError& error) {
    EXPECT_NE(message.find("rank 0, task "), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace dml::test
