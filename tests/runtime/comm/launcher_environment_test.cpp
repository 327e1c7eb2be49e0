#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "runtime/comm/communicator.h"

namespace dml {
namespace {

using Variables = std::vector<std::pair<std::string, std::string>>;

constexpr const char* kNames[] = {"OMPI_COMM_WORLD_RANK",
                                  "OMPI_COMM_WORLD_SIZE",
                                  "OMPI_COMM_WORLD_LOCAL_SIZE",
                                  "PMI_RANK",
                                  "PMI_SIZE",
                                  "MPI_LOCALNRANKS",
                                  "PMIX_RANK",
                                  "SLURM_PROCID",
                                  "SLURM_NTASKS",
                                  "SLURM_STEP_ID",
                                  "SLURM_STEPID",
                                  "SLURM_STEP_NUM_TASKS",
                                  "SLURM_STEP_TASKS_PER_NODE",
                                  "RANK",
                                  "WORLD_SIZE",
                                  "LOCAL_RANK",
                                  "LOCAL_WORLD_SIZE"};

/// What is read from exactly these variables; the test's own environment is put back.
LauncherEnvironment read(const Variables& variables) {
  Variables saved;
  for (const char* name : kNames) {
    if (const char* value = std::getenv(name)) saved.emplace_back(name, value);
    unsetenv(name);
  }
  for (const auto& [name, value] : variables) setenv(name.c_str(), value.c_str(), 1);
  const LauncherEnvironment found = launcher_environment();
  for (const char* name : kNames) unsetenv(name);
  for (const auto& [name, value] : saved) setenv(name.c_str(), value.c_str(), 1);
  return found;
}

struct Case {
  const char* name;
  Variables variables;
  int rank, size, local_size;
};

class LauncherEnvironmentTest : public testing::TestWithParam<Case> {};

TEST_P(LauncherEnvironmentTest, IsRead) {
  const Case& expected = GetParam();
  const LauncherEnvironment found = read(expected.variables);
  EXPECT_EQ(found.rank, expected.rank);
  EXPECT_EQ(found.size, expected.size);
  EXPECT_EQ(found.local_size, expected.local_size);
}

const Case kCases[] = {
    {"none", {}, 0, 0, 0},
    {"open_mpi",
     {{"OMPI_COMM_WORLD_RANK", "3"},
      {"OMPI_COMM_WORLD_SIZE", "8"},
      {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"},
      {"PMIX_RANK", "3"}},
     3,
     8,
     4},
    {"open_mpi_of_one", {{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "1"}}, 0, 1, 0},
    {"pmi", {{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}, {"MPI_LOCALNRANKS", "2"}}, 1, 2, 2},
    {"pmix_in_slurm",
     {{"PMIX_RANK", "5"},
      {"SLURM_PROCID", "5"},
      {"SLURM_NTASKS", "6"},
      {"SLURM_STEP_ID", "0"},
      {"SLURM_STEP_TASKS_PER_NODE", "3(x2)"}},
     5,
     6,
     3},
    {"pmix_without_size", {{"PMIX_RANK", "5"}}, 0, 0, 0},
    {"slurm_step", {{"SLURM_PROCID", "2"}, {"SLURM_NTASKS", "4"}, {"SLURM_STEP_ID", "1"}}, 2, 4, 0},
    {"slurm_shell_of_many_tasks", {{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}}, 0, 0, 0},
    {"slurm_batch_script", {{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}, {"SLURM_STEP_ID", "4294967291"}}, 0, 0, 0},
    {"slurm_step_of_one_in_many",
     {{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}, {"SLURM_STEP_NUM_TASKS", "1"}, {"SLURM_STEP_ID", "0"}},
     0,
     0,
     0},
    {"torchrun", {{"RANK", "5"}, {"WORLD_SIZE", "8"}, {"LOCAL_RANK", "1"}, {"LOCAL_WORLD_SIZE", "4"}}, 5, 8, 4},
    {"torchrun_of_one", {{"RANK", "0"}, {"WORLD_SIZE", "1"}, {"LOCAL_RANK", "0"}}, 0, 0, 0},
    {"some_rank_and_size", {{"RANK", "5"}, {"WORLD_SIZE", "8"}}, 0, 0, 0},
    {"mpirun_over_torchrun",
     {{"OMPI_COMM_WORLD_RANK", "1"},
      {"OMPI_COMM_WORLD_SIZE", "2"},
      {"RANK", "5"},
      {"WORLD_SIZE", "8"},
      {"LOCAL_RANK", "1"}},
     1,
     2,
     0},
    {"torchrun_in_a_slurm_step_of_one",
     {{"SLURM_PROCID", "0"},
      {"SLURM_NTASKS", "1"},
      {"SLURM_STEP_ID", "0"},
      {"SLURM_STEP_TASKS_PER_NODE", "1"},
      {"PMIX_RANK", "0"},
      {"RANK", "5"},
      {"WORLD_SIZE", "8"},
      {"LOCAL_RANK", "5"},
      {"LOCAL_WORLD_SIZE", "8"}},
     5,
     8,
     8},
    {"torchrun_in_a_step_of_one_by_pmi",
     {{"PMI_RANK", "0"}, {"PMI_SIZE", "1"}, {"RANK", "5"}, {"WORLD_SIZE", "8"}, {"LOCAL_RANK", "5"}},
     5,
     8,
     0},
    {"torchrun_on_each_node_of_a_slurm_step",
     {{"SLURM_PROCID", "1"},
      {"SLURM_NTASKS", "2"},
      {"SLURM_STEP_ID", "0"},
      {"SLURM_STEP_TASKS_PER_NODE", "1(x2)"},
      {"RANK", "11"},
      {"WORLD_SIZE", "16"},
      {"LOCAL_RANK", "3"},
      {"LOCAL_WORLD_SIZE", "8"}},
     11,
     16,
     8},
    {"slurm_step_whose_script_counts_alike",
     {{"SLURM_PROCID", "5"},
      {"SLURM_NTASKS", "6"},
      {"SLURM_STEP_ID", "0"},
      {"SLURM_STEP_TASKS_PER_NODE", "3(x2)"},
      {"RANK", "5"},
      {"WORLD_SIZE", "6"},
      {"LOCAL_RANK", "2"}},
     5,
     6,
     3},
    {"slurm_step_of_one_whose_script_counts_alike",
     {{"SLURM_PROCID", "0"},
      {"SLURM_NTASKS", "1"},
      {"SLURM_STEP_ID", "0"},
      {"RANK", "0"},
      {"WORLD_SIZE", "1"},
      {"LOCAL_RANK", "0"}},
     0,
     0,
     0},
    {"nonsense", {{"PMI_RANK", "x"}, {"PMI_SIZE", ""}}, 0, 0, 0},
};

INSTANTIATE_TEST_SUITE_P(Comm, LauncherEnvironmentTest, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace dml
