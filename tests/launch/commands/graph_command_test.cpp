#include "launch/commands/graph_command.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "launch/terminal/terminal.h"
#include "tests/launch/report/graph/small_plan.h"
#include "tests/runtime/data/temporary_folder.h"

namespace dml {
namespace {

class GraphCommand : public testing::Test {
 protected:
  /// Runs `dmltrain graph` on the small model with these options of its own.
  int run(const std::map<std::string, std::vector<std::string>, std::less<>>& own, Config config) {
    const CommandSpec spec = graph_command();
    Command command;
    command.spec = &spec;
    command.config = std::move(config);
    command.own = own;
    command.own["out"] = {folder_.path("graph")};
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> nowhere(std::fopen("/dev/null", "w"), &std::fclose);
    Terminal terminal(nowhere.get(), Display{});
    return spec.run(command, terminal);
  }
  std::set<std::string> files() const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path("graph")))
      names.insert(entry.path().filename().string());
    return names;
  }

  TemporaryFolder folder_;
};

TEST_F(GraphCommand, WritesTheFormsThatAreNamed) {
  EXPECT_EQ(run({{"emit", {"json, html"}}}, small_config(1, 2, 1)), 0);
  EXPECT_EQ(files(), (std::set<std::string>{"graph.html", "graph.json"}));
}

TEST_F(GraphCommand, WritesATraceForEachRank) {
  run({{"emit", {"chakra"}}}, small_config(1, 2, 1));
  EXPECT_EQ(files(), (std::set<std::string>{"comm_groups.json", "rank.0.et", "rank.1.et"}));
}

TEST_F(GraphCommand, LeavesNothingOfAnEarlierDrawing) {
  run({{"emit", {"chakra"}}}, small_config(1, 3, 1));
  run({{"emit", {"chakra"}}}, small_config(1, 2, 1));
  EXPECT_FALSE(files().contains("rank.2.et"));
}

TEST_F(GraphCommand, RefusesAnUnknownFormBeforeItWrites) {
  EXPECT_THROW(run({{"emit", {"json,png"}}}, small_config(1, 1, 1)), UsageError);
  EXPECT_FALSE(std::filesystem::exists(folder_.path("graph")));
}

TEST_F(GraphCommand, RefusesToShowWhatIsNoPage) {
  EXPECT_THROW(run({{"emit", {"json"}}, {"open", {}}}, small_config(1, 1, 1)), UsageError);
  EXPECT_FALSE(std::filesystem::exists(folder_.path("graph")));
}

TEST_F(GraphCommand, WritesNothingWhereTheLayoutDoesNotFit) {
  EXPECT_THROW(run({{"emit", {"json"}}}, small_config(1, 500, 1)), ModelError);
  EXPECT_FALSE(std::filesystem::exists(folder_.path("graph")));
}

}  // namespace
}  // namespace dml
