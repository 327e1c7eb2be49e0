// What Slurm's commands print.
#include "launch/cluster/slurm.h"

#include <gtest/gtest.h>

#include "launch/cluster/process.h"

namespace dml {
namespace {

TEST(Slurm, ListsPmixAsAWordOfItsOwn) {
  EXPECT_TRUE(
      lists_pmix("MPI plugin types are...\n\tnone\n\tpmix\nspecific pmix plugin versions available: pmix_v4\n"));
  EXPECT_FALSE(lists_pmix("MPI plugin types are...\n\tnone\n\tpmi2\n"));
}

TEST(Slurm, ReadsAJob) {
  const std::vector<SlurmJob> jobs = parse_jobs(
      "JobId=12 JobName=dmltrain UserId=a(1) JobState=RUNNING Reason=None Restarts=2 ExitCode=0:0 RunTime=00:01:02 "
      "TimeLimit=04:00:00 NodeList=n[1-2] StdOut=/home/a/dmltrain-12.log Power=\n");
  ASSERT_EQ(jobs.size(), 1U);
  const SlurmJob& job = jobs.front();
  EXPECT_EQ(job.id, "12");
  EXPECT_EQ(job.state, "RUNNING");
  EXPECT_EQ(job.restarts, 2);
  EXPECT_EQ(job.nodes, "n[1-2]");
  EXPECT_EQ(job.log, "/home/a/dmltrain-12.log");
  EXPECT_FALSE(job.is_over());
}

TEST(Slurm, ReadsTheJobsOfAnArray) {
  const std::vector<SlurmJob> jobs = parse_jobs(
      "JobId=7 ArrayJobId=7 ArrayTaskId=2-3%1 JobState=PENDING Reason=JobArrayTaskLimit NodeList=(null)\n"
      "JobId=8 ArrayJobId=7 ArrayTaskId=1 JobState=FAILED Reason=NonZeroExitCode ExitCode=3:0 NodeList=n1\n");
  ASSERT_EQ(jobs.size(), 2U);
  EXPECT_EQ(jobs[0].id, "7_2-3%1");
  EXPECT_EQ(jobs[0].nodes, "");
  EXPECT_EQ(jobs[1].id, "7_1");
  EXPECT_EQ(jobs[1].exit_code, 3);
  EXPECT_TRUE(jobs[1].is_over());
}

TEST(RunProgram, GivesInputAndTakesBothOutputs) {
  const ProgramResult result = run_program({"sh", "-c", "cat; echo wrong >&2; exit 3"}, "some text");
  EXPECT_TRUE(result.found);
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.output, "some text");
  EXPECT_EQ(result.errors, "wrong\n");
}

TEST(RunProgram, SaysWhereThereIsNone) { EXPECT_FALSE(run_program({"no-such-program-anywhere"}).found); }

TEST(RunProgram, TellsASignalAsBashDoes) { EXPECT_EQ(run_program({"sh", "-c", "kill -TERM $$"}).exit_code, 128 + 15); }

}  // namespace
}  // namespace dml
