// How cores become threads: the decisions alone, without touching the affinity of the test.
#include "launch/cores.h"

#include <gtest/gtest.h>

namespace dml {
namespace {

struct Row {
  const char* what;
  CoreFacts facts;  // own, launcher, bound_on_purpose, ranks, asked
  int usable_cores;
  int threads;
  bool widen;
  std::size_t num_notes;
};

TEST(Cores, Decisions) {
  const Row rows[] = {
      {"one process, all cores", {8, 0, false, 1, 0}, 8, 8, false, 0},
      {"threads as ranks share the cores", {8, 0, false, 4, 0}, 8, 2, false, 0},
      {"more ranks than cores", {2, 0, false, 8, 0}, 2, 1, false, 1},
      {"uneven: rounded down", {8, 0, false, 3, 0}, 8, 2, false, 0},
      {"mpirun -np 2 bound each to one core", {1, 16, false, 2, 0}, 16, 8, true, 1},
      {"mpirun -np 8 bound to a socket, which is enough", {8, 16, false, 8, 0}, 16, 2, false, 0},
      {"mpirun on one core each, as it should be", {1, 8, false, 8, 0}, 8, 1, false, 0},
      {"bound on purpose", {2, 16, true, 2, 0}, 16, 2, false, 1},
      {"unbound on purpose", {16, 16, true, 2, 0}, 16, 8, false, 0},
      {"taskset without a launcher is respected", {1, 0, false, 1, 0}, 1, 1, false, 0},
      {"threads as asked", {8, 0, false, 2, 3}, 8, 3, false, 0},
      {"more threads than cores", {2, 0, false, 2, 2}, 2, 2, false, 1},
      {"asked for on a bound core", {1, 8, false, 1, 4}, 8, 4, true, 1},
  };
  for (const Row& row : rows) {
    const CoreDecision decision = decide_cores(row.facts);
    EXPECT_EQ(decision.plan.usable_cores, row.usable_cores) << row.what;
    EXPECT_EQ(decision.plan.threads, row.threads) << row.what;
    EXPECT_EQ(decision.widen, row.widen) << row.what;
    EXPECT_EQ(decision.plan.notes.size(), row.num_notes) << row.what;
  }
}

TEST(Cores, ThisProcessHasSome) {
  const CorePlan plan = plan_cores(0, 1, {});
  EXPECT_GE(plan.usable_cores, 1);
  EXPECT_EQ(plan.threads, plan.usable_cores);
}

}  // namespace
}  // namespace dml
