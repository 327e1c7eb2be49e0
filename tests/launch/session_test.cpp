// The world of a run: --comm, launcher and layout; and how ranks that are threads fail together.
#include "launch/session.h"

#include <gtest/gtest.h>

#include <atomic>

#include "kernels/error.h"
#include "launch/failure.h"
#include "launch/options/usage_error.h"

namespace dml {
namespace {

Config layout(int d, int p, int t, const std::string& comm = "auto") {
  Config config;
  config.layout.d = d;
  config.layout.p = p;
  config.layout.t = t;
  config.comm = comm;
  config.threads = 1;
  config.deadline_s = 20;
  return config;
}

constexpr LauncherEnvironment kNoLauncher{};
constexpr bool kWithMpi = true;

template <typename Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

TEST(World, WithoutALauncherRanksAreThreads) {
  const World world = resolve_world(layout(2, 2, 2), kNoLauncher, kWithMpi);
  EXPECT_FALSE(world.processes);
  EXPECT_EQ(world.size, 8);
  EXPECT_EQ(world.ranks_on_node, 8);
}

TEST(World, UnderALauncherRanksAreProcesses) {
  const World world = resolve_world(layout(0, 2, 2), {3, 8, 4}, kWithMpi);
  EXPECT_TRUE(world.processes);
  EXPECT_EQ(world.size, 8);
  EXPECT_EQ(world.ranks_on_node, 4);
  EXPECT_TRUE(resolve_world(layout(0, 1, 1), {0, 1, 1}, kWithMpi).processes);
}

TEST(World, LauncherWithoutMpiIsAnError) {
  const std::string error = error_of([] { resolve_world(layout(8, 1, 1), {0, 8, 8}, !kWithMpi); });
  EXPECT_NE(error.find("a launcher of 8 processes wants ranks as processes, but this dmltrain was built without MPI"),
            std::string::npos)
      << error;
}

TEST(World, ThreadsUnderALauncherAreAnError) {
  EXPECT_THROW(resolve_world(layout(1, 1, 1, "thread"), {0, 8, 8}, kWithMpi), UsageError);
  EXPECT_FALSE(resolve_world(layout(2, 1, 1, "thread"), {0, 1, 1}, kWithMpi).processes);
}

TEST(World, ThreadsHaveNoLibraryOfCollectives) {
  Config config = layout(2, 1, 1);
  config.collectives = "library";
  EXPECT_THROW(resolve_world(config, kNoLauncher, kWithMpi), UsageError);
  EXPECT_TRUE(resolve_world(config, {0, 2, 2}, kWithMpi).processes);
}

TEST(World, TooManyThreadsAreAnError) {
  EXPECT_THROW(resolve_world(layout(64, 64, 64), kNoLauncher, kWithMpi), UsageError);
  EXPECT_THROW(resolve_world(layout(2147483647, 2147483647, 2147483647), kNoLauncher, kWithMpi), UsageError);
}

TEST(Replicas, FollowTheWorld) {
  EXPECT_EQ(resolve_replicas(layout(0, 2, 2).layout, {true, 8, 8}), 2);
  EXPECT_EQ(resolve_replicas(layout(0, 1, 1).layout, {false, 1, 1}), 1);
  EXPECT_EQ(resolve_replicas(layout(4, 2, 1).layout, {true, 8, 8}), 4);
}

TEST(Replicas, ErrorsHaveTheNumbers) {
  EXPECT_EQ(error_of([] {
              resolve_replicas(layout(2, 2, 2).layout, {true, 4, 4});
            }),
            "--d 2 --p 2 --t 2 makes 8 ranks, but 4 were started: use mpirun -np 8, or other d, p, t");
  EXPECT_EQ(
      error_of([] {
        resolve_replicas(layout(0, 2, 2).layout, {true, 6, 6});
      }),
      "6 ranks were started, which is no multiple of p*t = 4 (--p 2 --t 2): start 4 or 8 ranks, or change p or t");
}

TEST(RunRanks, EachRankRunsOnce) {
  for (int size : {1, 2, 3, 4, 8}) {
    std::atomic<int> sum = 0;
    run_ranks(layout(size, 1, 1), {false, size, size}, [&](Communicator& world) {
      EXPECT_EQ(world.size(), size);
      sum += 1 << world.rank();
    });
    EXPECT_EQ(sum, (1 << size) - 1);
  }
}

TEST(RunRanks, OneRanksFailureEndsAllAndIsNamed) {
  const auto body = [](Communicator& world) {
    if (world.rank() == 2) throw NotFiniteError("the loss of step 3 is nan");
    world.wait(world.barrier());
  };
  try {
    run_ranks(layout(4, 1, 1), {false, 4, 4}, body);
    FAIL() << "nothing thrown";
  } catch (const RankError& error) {
    EXPECT_STREQ(error.what(), "rank 2: the loss of step 3 is nan");
    EXPECT_EQ(error.exit_code(), exit_code::kNotFinite);
  }
}

TEST(RunRanks, FailureOfAllIsNotOneRanks) {
  const auto body = [](Communicator&) { throw IoError("m.onnx: there is no such file"); };
  EXPECT_THROW(run_ranks(layout(4, 1, 1), {false, 4, 4}, body), IoError);
}

}  // namespace
}  // namespace dml
