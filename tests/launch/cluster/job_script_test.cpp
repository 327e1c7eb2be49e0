// The text of the scripts; that they work is tested by tests/cluster/slurm.py.
#include "launch/cluster/job_script.h"

#include <gtest/gtest.h>

namespace dml {
namespace {

bool holds(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

JobRequest two_gpu_nodes() {
  JobRequest request;
  request.nodes = 2;
  request.tasks_per_node = request.gpus_per_node = 8;
  request.layout = "d=4 p=2 t=2";
  request.training = {{"--d", "4"}, {"--p", "2"}, {"--t", "2"}};
  return request;
}

TEST(JobScript, AsksForNodesTasksAndGpus) {
  const std::string script = job_script(two_gpu_nodes());
  EXPECT_EQ(script.substr(0, 12), "#!/bin/bash\n");
  EXPECT_TRUE(holds(script, "16 ranks on 2 nodes with 8 GPUs each, d=4 p=2 t=2"));
  EXPECT_TRUE(holds(script, "#SBATCH --nodes=2\n#SBATCH --ntasks-per-node=8\n#SBATCH --gpus-per-node=8\n"));
  EXPECT_FALSE(holds(script, "--partition")) << "what is not asked for is the site's own";
}

TEST(JobScript, PassesOnWhatSbatchShallKnow) {
  JobRequest request = two_gpu_nodes();
  request.partition = "gpu";
  request.account = "physics";
  request.time = "4:00:00";
  request.sbatch = {"exclusive", "mem=0"};
  const std::string script = job_script(request);
  for (const char* line : {"partition=gpu", "account=physics", "time=4:00:00", "exclusive", "mem=0"})
    EXPECT_TRUE(holds(script, std::string("#SBATCH --") + line + "\n")) << line;
}

TEST(JobScript, DirectivesStandBeforeTheFirstCommand) {
  JobRequest request = two_gpu_nodes();
  request.modules = {"cuda/12.4"};
  request.chain = 3;
  const std::string script = job_script(request);
  EXPECT_LT(script.rfind("#SBATCH"), script.find("module purge")) << "sbatch reads none after a command";
}

TEST(JobScript, StartsAgainInTheSameFolderAndLog) {
  const std::string script = job_script(two_gpu_nodes());
  for (const char* line : {"#SBATCH --open-mode=append\n", "#SBATCH --requeue\n", "#SBATCH --signal=B:USR1@120\n",
                           "run=runs/dmltrain-$job\n", "--run \"$run\" --resume auto &\n", "scontrol requeue \"$job\""})
    EXPECT_TRUE(holds(script, line)) << line;
}

TEST(JobScript, FirstStartGoesOnFromAnotherRun) {
  JobRequest request = two_gpu_nodes();
  request.resume = "runs/before";
  const std::string script = job_script(request);
  EXPECT_TRUE(holds(script, "[[ -d $run/checkpoints ]] || resume=runs/before\n"));
  EXPECT_TRUE(holds(script, "--resume \"$resume\" &\n"));
}

TEST(JobScript, SrunStartsRanksThroughPmix) {
  JobRequest request = two_gpu_nodes();
  request.launcher = JobLauncher::srun;
  EXPECT_TRUE(holds(job_script(request), "launch=(srun --mpi=pmix --distribution=block --cpu-bind=none "));
  request.cpus_per_task = 12;
  EXPECT_TRUE(holds(job_script(request), "--cpus-per-task=12 --cpu-bind=cores"));
}

TEST(JobScript, MpirunStartsAsManyOnEachNode) {
  JobRequest request = two_gpu_nodes();
  EXPECT_TRUE(holds(job_script(request), "mpirun -np 16 --map-by ppr:8:node --rank-by slot --bind-to none"));
  request.cpus_per_task = 12;
  EXPECT_TRUE(holds(job_script(request), "--map-by ppr:8:node:PE=12 --rank-by slot --bind-to core"));
  EXPECT_TRUE(holds(job_script(request), "export OMPI_MCA_orte_execute_quiet=1  # "));
}

TEST(JobScript, AChainFollowsItselfInOneLog) {
  JobRequest request = two_gpu_nodes();
  request.chain = 3;
  const std::string script = job_script(request);
  EXPECT_TRUE(holds(script, "#SBATCH --array=1-3%1\n"));
  EXPECT_TRUE(holds(script, "#SBATCH --output=dmltrain-%A.log\n"));
  EXPECT_TRUE(holds(script, "job=$SLURM_ARRAY_JOB_ID\n"));
  EXPECT_FALSE(holds(script, "scontrol requeue")) << "the next job goes on";
}

TEST(JobScript, ContainersByTheirImage) {
  JobRequest request = two_gpu_nodes();
  request.launcher = JobLauncher::srun;
  request.mounts = {"/data"};
  request.container = "/images/dmltrain.sif";
  EXPECT_TRUE(holds(job_script(request), "launch+=(apptainer exec --nv --bind /data --pwd \"$PWD\" /images/"));
  request.container = "nvcr.io#site/dmltrain";
  EXPECT_TRUE(
      holds(job_script(request), "--container-image='nvcr.io#site/dmltrain' --container-mounts=\"$PWD:$PWD,/data\""));
}

TEST(JobScript, FabricOnlyWhereThereIsANetwork) {
  JobRequest request = two_gpu_nodes();
  request.fabric = Fabric::infiniband;
  EXPECT_TRUE(holds(job_script(request), "export OMPI_MCA_pml=ucx  # "));
  request.nodes = 1;
  EXPECT_FALSE(holds(job_script(request), "OMPI_MCA_pml"));
}

TEST(JobScript, QuotesWhatBashWouldRead) {
  EXPECT_EQ(shell_word("gpt:layers=4,width=128"), "gpt:layers=4,width=128");
  EXPECT_EQ(shell_word("a b"), "'a b'");
  EXPECT_EQ(shell_word("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_word("*.bias"), "'*.bias'");
  EXPECT_EQ(shell_word(""), "''");
  JobRequest request = two_gpu_nodes();
  request.training.push_back({"--no-decay", "$(rm x)"});
  EXPECT_TRUE(holds(job_script(request), "--no-decay '$(rm x)'"));
}

TEST(FabricSettings, EachFabricHasItsWayAndEverySettingAReason) {
  const std::vector<std::string> ways{"", "ucx", "ucx", "cm", "cm", "ob1"};
  for (std::size_t i = 0; i < fabric_names().size(); ++i) {
    std::string way;
    for (const EnvironmentSetting& setting : fabric_settings(static_cast<Fabric>(i), "ib0", true)) {
      EXPECT_FALSE(setting.reason.empty()) << setting.name;
      if (setting.name == "OMPI_MCA_pml") way = setting.value;
    }
    EXPECT_EQ(way, ways[i]) << fabric_names()[i];
  }
}

TEST(FabricSettings, NcclIsToldOnlyWhereThereAreGpus) {
  const auto tells_nccl = [](bool has_gpus) {
    for (const EnvironmentSetting& setting : fabric_settings(Fabric::ethernet, "eth0", has_gpus)) {
      if (setting.name.starts_with("NCCL")) return true;
    }
    return false;
  };
  EXPECT_TRUE(tells_nccl(true));
  EXPECT_FALSE(tells_nccl(false));
}

}  // namespace
}  // namespace dml
