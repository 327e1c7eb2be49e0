#include "launch/options/simulate_options.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "launch/commands/simulate_command.h"

namespace dml {
namespace {

SimulateOptions options_of(std::vector<std::string> words) {
  words.insert(words.begin(), "simulate");
  static const std::vector<CommandSpec> commands{simulate_command()};
  return simulate_options(parse_command_line(words, commands));
}

std::vector<std::string> with(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

const std::vector<std::string> kUnit{"--devices", "4", "--tf", "1", "--tb", "2", "--tw", "3"};

class SimulateFiles : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string file(const std::string& name, const std::string& text) const {
    std::string path = (folder_ / name).string();
    std::ofstream(path) << text;
    return path;
  }
  std::filesystem::path folder_ = std::filesystem::temp_directory_path() / "dml_simulate_options_test";
};

TEST(SimulateOptions, DefaultsFollowFromTheDevices) {
  const SimulateOptions options = options_of(kUnit);
  ASSERT_EQ(options.schedules.size(), 1U);
  EXPECT_EQ(options.schedules[0].name, "1f1b");
  EXPECT_EQ(options.settings.positions, 4);
  EXPECT_EQ(options.settings.microbatches, 8);
  ASSERT_EQ(options.settings.model.size(), 4U);
  EXPECT_EQ(options.settings.model[3].input_grad, 2);
  EXPECT_EQ(options.settings.model[3].overlapped, 6);
  EXPECT_EQ(options.settings.model[3].activations, 1);
  EXPECT_EQ(options.settings.model[3].weight_inputs, 0.5);
}

TEST(SimulateOptions, ListsAreByStage) {
  const SimulateOptions options = options_of(with(
      kUnit, {"--schedule", "gpipe,1f1b", "--schedule", "zb-v", "--stages", "2", "--tf", "1,4", "--mem-b", "8,9"}));
  EXPECT_EQ(options.schedules.size(), 3U);
  ASSERT_EQ(options.settings.model.size(), 2U);
  EXPECT_EQ(options.settings.model[1].forward, 4);
  EXPECT_EQ(options.settings.model[1].activations, 9);
  EXPECT_EQ(options.settings.model[1].weight_inputs, 0);
}

TEST_F(SimulateFiles, TheLineGoesOverTheFile) {
  const std::string path =
      file("s.toml", "schedule = ['gpipe', 'zb-h1']\ndevices = 3\ntf = [1, 2, 3]\ntb = 1\ntw = 0.5\ntcomm = 0.25\n");
  const SimulateOptions options = options_of({path, "--tb", "7"});
  EXPECT_EQ(options.schedules[1].name, "zb-h1");
  EXPECT_EQ(options.settings.model[2].forward, 3);
  EXPECT_EQ(options.settings.model[2].input_grad, 7);
  EXPECT_EQ(options.settings.latency, 0.25);
}

TEST_F(SimulateFiles, AScheduleFileBringsItsSizes) {
  const std::string path = file("one.csv", "0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n");
  const SimulateOptions options = options_of({"--read", path, "--tf", "1", "--tb", "1", "--tw", "1"});
  EXPECT_EQ(options.settings.positions, 2);
  EXPECT_EQ(options.settings.microbatches, 2);
  EXPECT_THROW(options_of({"--read", path, "--microbatches", "3", "--tf", "1", "--tb", "1", "--tw", "1"}), UsageError);
  EXPECT_THROW(options_of({"--schedule", "file:" + path + ".none", "--tf", "1", "--tb", "1", "--tw", "1"}), IoError);
}

TEST(SimulateOptions, OrdersAloneNeedNoTimesUnlessTheyAreSearched) {
  const std::vector<std::string> orders{"--devices", "2", "--emit", "actions"};
  EXPECT_EQ(options_of(with(orders, {"--schedule", "zb-h1"})).settings.model.size(), 2U);
  EXPECT_THROW(options_of(with(orders, {"--schedule", "zb-1p"})), UsageError);
  EXPECT_THROW(options_of(with(orders, {"--html", "page.html"})), UsageError);
}

std::string message_of(const std::vector<std::string>& words) {
  try {
    options_of(words);
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

TEST(SimulateOptions, MistakesAreNamed) {
  const auto expect = [](const std::vector<std::string>& words, const std::string& part) {
    EXPECT_NE(message_of(words).find(part), std::string::npos) << message_of(words);
  };
  expect({"--tf", "1", "--tb", "1", "--tw", "1"}, "--devices is missing");
  expect({"--devices", "2", "--tf", "1", "--tb", "1"}, "--tw is missing");
  expect(with(kUnit, {"--tf", "-1"}), "--tf: -1 is too small");
  expect(with(kUnit, {"--tf", "1,2,3"}), "--tf: 3 values for 4 stages");
  expect(with(kUnit, {"--tf", "nan"}), "--tf:");
  expect(with(kUnit, {"--tf", ""}), "--tf:");
  expect(with(kUnit, {"--devices", "0"}), "--devices: 0 is too small");
  expect(with(kUnit, {"--microbatches", "0"}), "--microbatches: 0 is too small");
  expect(with(kUnit, {"--schedule", "zigzag"}), "'zigzag' is not known; there are gpipe, 1f1b");
  expect(with(kUnit, {"--mem-b", "1", "--mem-w", "2"}), "--mem-w: stage 0 holds 2 until W, but only 1");
  expect(with(kUnit, {"--emit", "picture"}), "--emit: 'picture'");
  expect(with(kUnit, {"--emit", "actions", "--schedule", "1f1b,gpipe"}), "wants one schedule, not 2");
  expect(with(kUnit, {"--devices", "4096", "--microbatches", "100000"}), "passes: at most");
}

}  // namespace
}  // namespace dml
