#include "launch/cluster/launcher_end.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

namespace dml {
namespace {

using std::chrono::milliseconds;
constexpr EndPatience kBrief{milliseconds(100), milliseconds(50), milliseconds(100)};
constexpr EndPatience kEndsInTime{milliseconds(400), milliseconds(50), milliseconds(100)};

void wait_for_ever() {
  while (true) pause();
}
void wait_half_the_time() { std::this_thread::sleep_for(kEndsInTime.itself / 2); }

/// The signal that ends a child which does `work`, with `action` for SIGTERM, when it is to be ended; 0 where it ended
/// itself.
int signal_that_ends(void (*action)(int), void (*work)(), const EndPatience& patience) {
  const auto own = std::signal(SIGTERM, action);  // the child has it from its first instruction on
  const pid_t child = fork();
  if (child == 0) {
    work();
    _exit(0);
  }
  std::signal(SIGTERM, own);
  end_process_later(child, patience);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST(LauncherEnd, AsksFirstAndThenInsists) {
  EXPECT_EQ(signal_that_ends(SIG_DFL, wait_for_ever, kBrief), SIGTERM);
  EXPECT_EQ(signal_that_ends(SIG_IGN, wait_for_ever, kBrief), SIGKILL);
}

TEST(LauncherEnd, WhatEndsItselfIsLeftAlone) {
  EXPECT_EQ(signal_that_ends(SIG_DFL, wait_half_the_time, kEndsInTime), 0);
}

TEST(LauncherEnd, KnowsOpenMpiByName) {
  for (const char* name : {"mpirun", "mpirun.openmpi", "orterun", "orted", "prterun", "prted"})
    EXPECT_TRUE(is_open_mpi_launcher(name)) << name;
  for (const char* name : {"bash", "slurmstepd", "mpirunner", ""}) EXPECT_FALSE(is_open_mpi_launcher(name)) << name;
}

}  // namespace
}  // namespace dml
