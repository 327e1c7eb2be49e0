// `dmltrain plan`: what it prints and writes, and what it refuses.
#include "launch/commands/plan/plan_command.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>

#include "launch/commands/commands.h"
#include "launch/terminal/terminal.h"
#include "tests/runtime/data/temporary_folder.h"

namespace dml {
namespace {

class PlanCommand : public testing::Test {
 protected:
  /// Runs `dmltrain plan` on a small model with these options; what it prints.
  std::string run(const std::string& options) {
    std::istringstream words("plan --model gpt:layers=3,width=32,heads=4,seq=8,vocab=16 " + options);
    const std::vector<std::string> arguments{std::istream_iterator<std::string>(words), {}};
    const Command command = parse_command_line(arguments, all_commands());
    const std::string path = folder_.path("printed");
    {
      const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "w"), &std::fclose);
      Terminal terminal(file.get(), Display{});
      EXPECT_EQ(command.spec->run(command, terminal), 0);
    }
    return text_of(path);
  }

  /// The message that these options are refused with.
  std::string refusal(const std::string& options) {
    try {
      run(options);
    } catch (const UsageError& error) {
      return error.what();
    }
    return "not refused";
  }

  static std::string text_of(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  static std::vector<std::string> lines_of(const std::string& text) {
    std::istringstream stream(text);
    std::vector<std::string> lines;
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
  }

  TemporaryFolder folder_;
};

TEST_F(PlanCommand, ShowsAsManyLayoutsAsAskedTheBestWithItsOptions) {
  const std::string text = run("--world 4 --batch 8 --hardware a100-80g --top 3");
  const auto rows = [](const std::string& line) { return line.find("1f1b ") != std::string::npos; };
  const std::vector<std::string> lines =
      lines_of(run("--world 4 --batch 8 --hardware a100-80g --top 3 --schedules 1f1b"));
  EXPECT_EQ(std::count_if(lines.begin(), lines.end(), rows), 3);
  EXPECT_NE(text.find("best: --d "), std::string::npos) << text;
}

TEST_F(PlanCommand, WritesEveryPossibleLayoutAsCsvBestFirst) {
  run("--world 4 --batch 8 --hardware a100-80g --csv " + folder_.path("layouts.csv"));
  const std::vector<std::string> lines = lines_of(text_of(folder_.path("layouts.csv")));
  ASSERT_GT(lines.size(), 20U);
  const auto columns = [](const std::string& line) { return std::count(line.begin(), line.end(), ','); };
  double before = 0;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    EXPECT_EQ(columns(lines[i]), columns(lines[0])) << lines[i];
    std::istringstream cells(lines[i]);
    std::string cell;
    for (int column = 0; column < 10; ++column) std::getline(cells, cell, ',');
    EXPECT_GE(std::stod(cell), before) << lines[i];
    before = std::stod(cell);
  }
}

TEST_F(PlanCommand, WritesAPageThatHoldsEveryLayout) {
  const std::string options = "--world 4 --batch 8 --hardware a100-80g ";
  run(options + "--html " + folder_.path("plan.html") + " --csv " + folder_.path("layouts.csv"));
  const std::string page = text_of(folder_.path("plan.html"));
  EXPECT_EQ(page.find("{{"), std::string::npos) << "a place that is not filled";
  std::size_t layouts = 0;
  for (std::size_t at = page.find("\"step_ms\":"); at != std::string::npos; at = page.find("\"step_ms\":", at + 1))
    ++layouts;
  EXPECT_EQ(layouts + 1, lines_of(text_of(folder_.path("layouts.csv"))).size());
}

TEST_F(PlanCommand, CountsWhatIsNotPossibleAndListsItOnDemand) {
  const std::string options = "--world 4 --batch 8 --hardware a100-80g --memory-limit 0.0005 ";
  EXPECT_NE(run(options).find(" too little memory"), std::string::npos);
  EXPECT_EQ(run(options).find("too little memory: "), std::string::npos);
  EXPECT_NE(run(options + "--all").find("too little memory: "), std::string::npos);
}

TEST_F(PlanCommand, KeepsTheMemoryLimit) {
  const std::string limited = run("--world 4 --batch 8 --hardware a100-80g --memory-limit 0.0005 --json --all");
  EXPECT_NE(limited.find("\"memory_limit_bytes\": 500000.0"), std::string::npos);
  for (const std::string& line : lines_of(limited)) {
    const std::string key = "\"memory_bytes\": ";
    const std::size_t at = line.find(key);
    if (at != std::string::npos) {
      EXPECT_LE(std::stod(line.substr(at + key.size())), 500000.0);
    }
  }
}

TEST_F(PlanCommand, RefusesWhatMakesNoSense) {
  const std::string rest = " --batch 8 --hardware a100-80g";
  EXPECT_EQ(refusal("--batch 8 --hardware a100-80g"), "plan: give the number of ranks, as in --world 8");
  EXPECT_EQ(refusal("--world 0" + rest), "--world: 0 is too small: at least 1");
  EXPECT_EQ(refusal("--world 4 --min-p 3 --max-p 2" + rest), "--min-p 3 is above --max-p 2");
  EXPECT_EQ(refusal("--world 4 --min-p 3 --max-p 3" + rest), "plan: no d, p and t within the bounds give --world 4");
  EXPECT_NE(refusal("--world 4 --schedules 2f2b" + rest).find("1f1b"), std::string::npos);
  EXPECT_NE(refusal("--world 4 --schedules dualpipe" + rest).find("two copies"), std::string::npos);
  EXPECT_NE(refusal("--world 4 --p 2" + rest).find("--min-p"), std::string::npos);
  EXPECT_NE(refusal("--world 4 --schedule gpipe" + rest).find("it has --schedules"), std::string::npos);
  EXPECT_NE(refusal("--world 4 --order tpd" + rest).find("has no use for it"), std::string::npos);
  for (const char* option : {"--isa avx2", "--device cpu", "--deadline 9", "--gather-parts 2", "--shape-link 50,10"}) {
    std::string given = "--world 4 ";
    given.append(option).append(rest);
    EXPECT_NE(refusal(given).find("of layouts that are tried"), std::string::npos) << option;
    given.append(" --scaling");
    EXPECT_NE(refusal(given).find("of layouts that are tried"), std::string::npos) << option;
  }
  EXPECT_NE(refusal("--world 4 --comm mpi --measure 1" + rest).find("has no use for it"), std::string::npos);
  EXPECT_NE(refusal("--world 4 --memory-limit much" + rest).find("--memory-limit: 'much'"), std::string::npos);
  EXPECT_NE(refusal("--world 4 --memory-limit 0.00001" + rest).find("too little memory"), std::string::npos);
}

}  // namespace
}  // namespace dml
