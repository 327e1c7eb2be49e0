#include "launch/cluster/launcher_end.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace dml {
namespace {

using std::chrono::milliseconds;
constexpr EndPatience kBrief{milliseconds(100), milliseconds(50), milliseconds(100)};

/// The signal that ends a child which waits for ever, with `action` for SIGTERM, when it is to be ended; 0 where it
/// ended itself.
int signal_that_ends(void (*action)(int), bool ends_itself) {
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGTERM, action);
    if (ends_itself) _exit(0);
    while (true) pause();
  }
  end_process_later(child, kBrief);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST(LauncherEnd, AsksFirstAndThenInsists) {
  EXPECT_EQ(signal_that_ends(SIG_DFL, false), SIGTERM);
  EXPECT_EQ(signal_that_ends(SIG_IGN, false), SIGKILL);
}

TEST(LauncherEnd, WhatEndsItselfIsLeftAlone) { EXPECT_EQ(signal_that_ends(SIG_DFL, true), 0); }

TEST(LauncherEnd, KnowsOpenMpiByName) {
  for (const char* name : {"mpirun", "mpirun.openmpi", "orterun", "orted", "prterun", "prted"})
    EXPECT_TRUE(is_open_mpi_launcher(name)) << name;
  for (const char* name : {"bash", "slurmstepd", "mpirunner", ""}) EXPECT_FALSE(is_open_mpi_launcher(name)) << name;
}

}  // namespace
}  // namespace dml
