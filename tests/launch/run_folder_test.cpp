#include "launch/run_folder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "kernels/error.h"
#include "launch/atomic_file.h"
#include "launch/options/config_file.h"
#include "launch/options/usage_error.h"

namespace dml {
namespace {

namespace fs = std::filesystem;

std::string content_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// A folder of its own, in which the test's relative paths lie.
class RunFolderTest : public testing::Test {
 protected:
  RunFolderTest() : before_(fs::current_path()) {
    fs::create_directories(root_);
    fs::current_path(root_);
  }
  ~RunFolderTest() override {
    fs::current_path(before_);
    fs::remove_all(root_);
  }
  static Config config_with_run(const std::string& run) {
    Config config;
    config.run = run;
    return config;
  }
  fs::path before_;
  fs::path root_ = fs::path(testing::TempDir()) / ("dmltrain_run_" + std::to_string(getpid()));
};

StepRecord some_step() {
  StepRecord record;
  record.step = 11;
  record.loss = 3.25;
  record.grad_norm = 1.5;
  record.learning_rate = 0.003;
  record.tokens_per_s = 2048;
  record.flops_per_s = 4e9;
  record.mean = {0.5, 0.25, 0.125, 0.0625, 0.03125, 0.03125, 0.375};
  return record;
}

TEST_F(RunFolderTest, MakesFilesAndAppendsLines) {
  RunFolder folder(config_with_run("a/b"));
  EXPECT_EQ(content_of("a/b/config.toml"), write_config(config_with_run("a/b")));
  RankStep rank;
  rank.rank = 1;
  rank.step = 11;
  rank.bytes_sent = {{"send", 1024}};
  folder.append(some_step(), {rank, rank});
  EXPECT_EQ(content_of("a/b/steps.jsonl"), step_json(some_step()) + "\n");
  EXPECT_EQ(content_of("a/b/ranks.jsonl"), rank_json(rank) + "\n" + rank_json(rank) + "\n");
  folder.log("line\n");
  EXPECT_EQ(content_of("a/b/log"), "line\n");
  EXPECT_EQ(folder.file("trace.json"), "a/b/trace.json");
}

TEST_F(RunFolderTest, StepJsonHasTheDefinedKeysInOrder) {
  EXPECT_EQ(
      step_json(some_step()),
      R"({"step":11,"loss":3.25,"grad_norm":1.5,"lr":0.003,"step_ms":500.0,"tokens_per_s":2048.0,"compute_ms":250.0,)"
      R"("core_wait_ms":125.0,"comm_ms":375.0,"exposed_comm_ms":62.5,"bubble_ms":31.25,"other_ms":31.25,)"
      R"("flops_per_s":4000000000.0})");
  StepRecord images = some_step();
  images.tokens_per_s = 0;
  images.samples_per_s = 32;
  images.accuracy = 0.5;
  images.validation_loss = 2.5;
  const auto json = nlohmann::json::parse(step_json(images));
  EXPECT_FALSE(json.contains("tokens_per_s"));
  EXPECT_EQ(json.at("samples_per_s"), 32.0);
  EXPECT_EQ(json.at("accuracy"), 0.5);
  EXPECT_EQ(json.at("val_loss"), 2.5);
}

TEST_F(RunFolderTest, RankJsonHasBytesByKind) {
  RankStep rank;
  rank.rank = 3;
  rank.step = 4;
  rank.comm_seconds = {{"all_reduce d", 0.25}};
  rank.bytes_sent = {{"send", 10}, {"all_reduce d", 20}};
  rank.resident_bytes = 99;
  const auto json = nlohmann::json::parse(rank_json(rank));
  EXPECT_EQ(json.at("rank"), 3);
  EXPECT_EQ(json.at("comm_kind_ms").at("all_reduce d"), 250.0);
  EXPECT_EQ(json.at("bytes_sent").at("all_reduce d"), 20);
  EXPECT_TRUE(json.at("bytes_received").empty());
  EXPECT_EQ(json.at("resident_bytes"), 99);
}

TEST_F(RunFolderTest, AnEmptyFolderThatExistsIsTaken) {
  fs::create_directory("empty");
  check_run_folder("empty", false);
  EXPECT_EQ(RunFolder(config_with_run("empty")).path(), "empty");
}

TEST_F(RunFolderTest, AFolderThatHoldsARunIsRefused) {
  { RunFolder first(config_with_run("run")); }
  EXPECT_THROW(check_run_folder("run", false), UsageError);
  EXPECT_THROW(RunFolder(config_with_run("run")), UsageError);
}

TEST_F(RunFolderTest, AResumedRunKeepsItsStepsBeforeTheCheckpoint) {
  Config config = config_with_run("run");
  for (const char* name : {"steps.jsonl", "ranks.jsonl"}) {
    fs::create_directory("run");
    std::ofstream(fs::path("run") / name) << "{\"step\":0}\n{\"step\":1}\n{\"step\":2}\n{\"st";
  }
  config.resume = "auto";
  const RunFolder folder(config, 2);
  std::stringstream steps;
  steps << std::ifstream(folder.file("steps.jsonl")).rdbuf();
  EXPECT_EQ(steps.str(), "{\"step\":0}\n{\"step\":1}\n");
}

TEST_F(RunFolderTest, AFileIsRefused) {
  std::ofstream("file") << "x";
  EXPECT_THROW(check_run_folder("file", true), UsageError);
  EXPECT_THROW(RunFolder(config_with_run("file/below")), IoError);
}

TEST_F(RunFolderTest, DefaultIsATimeStampAndNeverTheSameTwice) {
  const RunFolder first(Config{}), second(Config{});
  EXPECT_NE(first.path(), second.path());
  EXPECT_EQ(first.path().rfind("runs/20", 0), 0U) << first.path();
  EXPECT_TRUE(fs::exists(second.file("config.toml")));
}

TEST_F(RunFolderTest, AtomicFileIsWholeOrNotThere) {
  {
    AtomicFile file("x.json");
    file.stream() << "half";
    EXPECT_FALSE(fs::exists("x.json"));
  }
  EXPECT_FALSE(fs::exists("x.json"));
  EXPECT_TRUE(fs::is_empty("."));
  write_file("x.json", "whole");
  EXPECT_EQ(content_of("x.json"), "whole");
  EXPECT_FALSE(fs::exists("x.json.partial"));
  EXPECT_THROW(write_file("missing/x.json", ""), IoError);
}

}  // namespace
}  // namespace dml
