// From a command line and a site's file to a job.
#include "launch/cluster/submit_options.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <sstream>

#include "launch/cluster/training_words.h"
#include "launch/commands/submit_command.h"
#include "tests/runtime/data/temporary_folder.h"

namespace dml {
namespace {

class Submit : public testing::Test {
 protected:
  /// The job of `dmltrain submit OPTIONS` where the site's file holds `site_`.
  JobRequest job(const std::string& options, bool has_pmix = false) {
    const std::string file = folder_.path("cluster.toml");
    std::ofstream(file) << site_;
    const Command command = parsed("submit --cluster " + file + " " + options);
    return read_submission(command, has_pmix ? HasPmix([] { return true; }) : HasPmix([] { return false; })).job;
  }
  std::string refusal(const std::string& options) {
    try {
      job(options);
    } catch (const UsageError& error) {
      return error.what();
    }
    return "not refused";
  }
  static Command parsed(const std::string& words) {
    static const std::vector<CommandSpec> commands{submit_command()};
    std::istringstream stream(words);
    return parse_command_line(std::vector<std::string>{std::istream_iterator<std::string>(stream), {}}, commands);
  }

  TemporaryFolder folder_;
  std::string site_ = "# nothing\n";
};

TEST_F(Submit, SpreadsTheRanksOverTheNodes) {
  const JobRequest request = job("--d 2 --p 2 --t 2 --nodes 2");
  EXPECT_EQ(request.tasks_per_node, 4);
  EXPECT_EQ(request.layout, "d=2 p=2 t=2");
  EXPECT_EQ(job("--nodes 2 --gpus-per-node 8 --t 4").layout, "d=4 p=1 t=4") << "without --d, all GPUs";
}

TEST_F(Submit, RefusesALayoutThatIsNotTheNodes) {
  EXPECT_EQ(refusal("--d 2 --p 2 --t 2 --nodes 2 --gpus-per-node 8"),
            "submit: --d 2 --p 2 --t 2 makes 8 ranks, but 2 nodes of 8 GPUs are 16: use --d 4, or other nodes");
  EXPECT_EQ(refusal("--p 3 --nodes 1 --tasks-per-node 4"),
            "submit: 1 node of 4 tasks are 4 ranks, which is no multiple of p*t = 3 (--p 3 --t 1)");
  EXPECT_NE(refusal("--d 3 --nodes 2").find("3 ranks (d*p*t) cannot be spread evenly over --nodes 2"),
            std::string::npos);
  EXPECT_NE(refusal("--gpus-per-node 8 --tasks-per-node 4").find("one rank per GPU"), std::string::npos);
}

TEST_F(Submit, WarnsWhereTheTensorAxisLeavesItsNode) {
  const auto crosses = [this](const std::string& options) {
    for (const std::string& note : job(options + " --checkpoint-every 5").notes) {
      if (note.find("tensor axis") != std::string::npos) return true;
    }
    return false;
  };
  EXPECT_FALSE(crosses("--d 2 --t 4 --nodes 2"));
  EXPECT_TRUE(crosses("--d 1 --t 8 --nodes 2"));
  EXPECT_TRUE(crosses("--d 2 --t 4 --nodes 2 --order tdp"));
  EXPECT_FALSE(crosses("--t 8 --nodes 1"));
}

TEST_F(Submit, TakesTheLauncherThatTheSiteHas) {
  EXPECT_EQ(job("", true).launcher, JobLauncher::srun);
  EXPECT_EQ(job("", false).launcher, JobLauncher::mpirun);
  EXPECT_EQ(job("--launcher mpirun", true).launcher, JobLauncher::mpirun);
}

TEST_F(Submit, TheCommandLineGoesOverTheSite) {
  site_ = "partition = \"gpu\"\ngpus-per-node = 4\nmodules = [\"cuda\", \"openmpi\"]\n";
  EXPECT_EQ(job("").partition, "gpu");
  EXPECT_EQ(job("").tasks_per_node, 4);
  EXPECT_EQ(job("").modules, (std::vector<std::string>{"cuda", "openmpi"}));
  EXPECT_EQ(job("--partition other --gpus-per-node 2").partition, "other");
}

TEST_F(Submit, NamesTheLineOfTheSitesFile) {
  site_ = "# of the site\nnodes = \"many\"\n";
  EXPECT_NE(refusal("").find("cluster.toml line 2: nodes: 'many'"), std::string::npos) << refusal("");
  site_ = "partitoin = \"gpu\"\n";
  EXPECT_NE(refusal("").find("did you mean partition"), std::string::npos) << refusal("");
  site_ = "print = true\n";
  EXPECT_NE(refusal("").find("unknown key 'print'"), std::string::npos) << refusal("");
}

TEST_F(Submit, RefusesWhatCannotBeInAScript) {
  EXPECT_NE(refusal("--partition a;b").find("--partition: 'a;b'"), std::string::npos);
  EXPECT_NE(refusal("--name $x").find("--name: '$x'"), std::string::npos);
  EXPECT_EQ(job("--constraint [a|b]").constraint, "[a|b]");
  EXPECT_NE(refusal("--launcher mpirun --container image").find("Pyxis"), std::string::npos);
}

TEST_F(Submit, RefusesAFolderThatHoldsARun) {
  std::ofstream(folder_.path("steps.jsonl")) << "{}\n";
  const std::string folder = folder_.path("");
  EXPECT_NE(refusal("--run " + folder).find("holds a run"), std::string::npos);
  EXPECT_EQ(job("--resume auto --run " + folder).resume, "");
}

TEST_F(Submit, BoundRanksHaveAThreadOnEachCore) {
  const JobRequest request = job("--cpus-per-task 8");
  const OptionWords threads{"--threads", "8"};
  EXPECT_NE(std::find(request.training.begin(), request.training.end(), threads), request.training.end());
}

/// The words, read again, are the same training.
TEST_F(Submit, TrainingWordsGiveTheSameConfig) {
  for (const std::string options :
       {"", "--steps 7 --lr 0.5", "--epochs 2", "--model gpt --data builtin:text --no-shuffle --no-decay *.bias",
        "--model m.onnx --data d.bin --dim B=4 --dim T=8 --weight-decay 0.1 --bucket-mb 1.5 --optimizer sgd"}) {
    Config config = parsed("submit --d 2 " + options).config;
    std::string words = "submit";
    for (const OptionWords& option : training_words(config)) {
      for (const std::string& word : option) words += " " + word;
    }
    EXPECT_EQ(training_words(parsed(words).config), training_words(config)) << words;
    EXPECT_EQ(parsed(words).config.steps, config.steps) << words;
    EXPECT_EQ(parsed(words).config.data.shuffle, config.data.shuffle) << words;
    EXPECT_EQ(parsed(words).config.model.dims, config.model.dims) << words;
  }
}

}  // namespace
}  // namespace dml
