// The program of a rank: what waits for what, and which values have a place.
#include "runtime/program/compiler.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/runtime/training_world.h"

namespace dml::test {
namespace {

Training tied_gpt() {
  Training training;
  training.graph_of = [](std::int64_t samples) {
    return zoo_graph("gpt:layers=2,width=12,heads=3,seq=5,vocab=11,tied=1", samples);
  };
  return training;
}

bool is_communication(const Task& task) { return task.queue != QueueId::compute; }

/// Position of the first instruction of that kind for a task, or -1.
int position_of(const Program& program, Instruction::Kind kind, std::int32_t task) {
  const auto instructions = program.instructions();
  const auto found = std::find_if(instructions.begin(), instructions.end(), [&](const Instruction& instruction) {
    return instruction.kind == kind && instruction.task == task;
  });
  return found == instructions.end() ? -1 : static_cast<int>(found - instructions.begin());
}

void expect_order(const Program& program, const RankTasks& tasks) {
  using Kind = Instruction::Kind;
  for (std::int32_t id = 0; id < static_cast<std::int32_t>(tasks.tasks.size()); ++id) {
    const Task& task = tasks.tasks[static_cast<std::size_t>(id)];
    const int begins = position_of(program, is_communication(task) ? Kind::post : Kind::launch, id);
    ASSERT_GE(begins, 0) << task.id.to_string();
    const int waited = position_of(program, Kind::wait, id);
    EXPECT_EQ(waited > begins, is_communication(task)) << task.id.to_string();
    for (const std::int32_t dep : tasks.deps_of(task)) {
      const Task& before = tasks.tasks[static_cast<std::size_t>(dep)];
      const int done = position_of(program, is_communication(before) ? Kind::wait : Kind::launch, dep);
      EXPECT_LT(done, begins) << task.id.to_string() << " begins before " << before.id.to_string() << " is done";
    }
  }
}

TEST(Compiler, EveryTaskFollowsWhatItNeeds) {
  for (const TrainedLayout& layout :
       {TrainedLayout{1, 1, 1, 2}, TrainedLayout{2, 2, 2, 3}, TrainedLayout{1, 3, 1, 4, "gpipe"}}) {
    on_all_ranks(tied_gpt(), layout,
                 [](RankState& state, const Dataset&) { expect_order(state.program(), state.partition().tasks); });
  }
}

TEST(Compiler, EveryPostHasOneWait) {
  on_all_ranks(tied_gpt(), {1, 2, 2, 3}, [](RankState& state, const Dataset&) {
    std::vector<int> open(state.partition().tasks.tasks.size(), 0);
    for (const Instruction& instruction : state.program().instructions()) {
      int& count = open[static_cast<std::size_t>(instruction.task)];
      if (instruction.kind == Instruction::Kind::launch) {
        EXPECT_TRUE(instruction.run);
        continue;
      }
      EXPECT_NE(instruction.communicator, nullptr);
      EXPECT_EQ(count, instruction.kind == Instruction::Kind::post ? 0 : 1);
      ++count;
    }
    for (std::size_t id = 0; id < open.size(); ++id) {
      EXPECT_EQ(open[id], is_communication(state.partition().tasks.tasks[id]) ? 2 : 0);
    }
  });
}

// Receives are posted a pass ahead, so that a sender finds them open.
TEST(Compiler, ReceivesArePostedBeforeTheirPass) {
  on_all_ranks(tied_gpt(), {1, 2, 1, 4, "gpipe"}, [](RankState& state, const Dataset&) {
    const std::vector<Task>& tasks = state.partition().tasks.tasks;
    for (std::int32_t id = 0; id < static_cast<std::int32_t>(tasks.size()); ++id) {
      const Task& task = tasks[static_cast<std::size_t>(id)];
      if (task.kind != TaskKind::receive || task.id.microbatch == 0) continue;
      const auto instructions = state.program().instructions();
      const int posted = position_of(state.program(), Instruction::Kind::post, id);
      const int waited = position_of(state.program(), Instruction::Kind::wait, id);
      EXPECT_TRUE(std::any_of(instructions.begin() + posted, instructions.begin() + waited, [&](const Instruction& i) {
        return i.kind == Instruction::Kind::launch &&
               tasks[static_cast<std::size_t>(i.task)].id.microbatch == task.id.microbatch - 1;
      })) << task.id.to_string();
    }
  });
}

TEST(Compiler, InputsAndLossLieWhereTheirStageIs) {
  on_all_ranks(tied_gpt(), {1, 3, 1, 2}, [](RankState& state, const Dataset&) {
    const Graph& graph = state.partition().split().graph;
    const int position = state.partition().at.p;
    for (int m = 0; m < 2; ++m) {
      EXPECT_EQ(static_cast<bool>(state.program().view(graph.inputs[0], m)), position == 0);
      EXPECT_EQ(static_cast<bool>(state.program().view(graph.label, m)), position == 2);
      EXPECT_EQ(static_cast<bool>(state.program().view(graph.loss, m)), position == 2);
      EXPECT_FALSE(state.program().view(graph.output, m)) << "nobody asked for it";
    }
  });
}

TEST(Compiler, PlansWhatIsUsed) {
  const Training training = tied_gpt();
  on_all_ranks(training, {1, 2, 2, 3}, [&](RankState& state, const Dataset& data) {
    run_step(state, data, training, 0);
    EXPECT_GT(state.used_bytes(), state.planned_bytes() / 2);
    EXPECT_LE(state.used_bytes(), state.planned_bytes());
  });
}

// 1F1B keeps p - i microbatches alive at position i, GPipe all of them.
TEST(Compiler, AlternatingSchedulesNeedLessMemory) {
  Training training = tied_gpt();
  training.batch = 24;
  std::map<std::string, std::int64_t> bytes;
  for (const char* schedule : {"1f1b", "gpipe"}) {
    std::mutex lock;
    on_all_ranks(training, {1, 2, 1, 8, schedule}, [&](RankState& state, const Dataset&) {
      const std::lock_guard guard(lock);
      bytes[schedule] += state.program().arena_bytes();
    });
  }
  EXPECT_LT(2 * bytes["1f1b"], bytes["gpipe"]);
}

}  // namespace
}  // namespace dml::test
