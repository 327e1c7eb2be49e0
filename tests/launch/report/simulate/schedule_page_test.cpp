// The page makes and plays schedules itself: what it comes to must be what the program comes to.
#include "launch/report/simulate/schedule_page.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "launch/report/page/page_file.h"
#include "parallel/pipeline/actions.h"
#include "tests/launch/report/page_data.h"

namespace dml {
namespace {

SimulatedSchedule simulated(const ScheduleDef& schedule, const PipelineSettings& settings) {
  SimulatedSchedule result{.name = std::string(schedule.name),
                           .pipeline = pipeline_of(schedule, settings),
                           .copies = schedule.copies,
                           .orders = {},
                           .times = {}};
  result.orders = schedule.orders(result.pipeline);
  result.times = simulate(result.orders, result.pipeline, result.copies);
  return result;
}

/// Prints what the page's scripts make of its own data, a line of JSON per schedule of the table.
constexpr std::string_view kHarness = R"(
const text = (a) => `${a.stage}${a.op}${a.microbatch}`;
const line = (order) => order.map((a, i) => a.pair ? `(${text(a)};${text(order[i + 1])})OVERLAP_F_B`
  : i > 0 && order[i - 1].pair ? null : text(a)).filter((cell) => cell !== null).join(",");
for (const settings of SETTINGS) {
  for (const [name, schedule] of Object.entries(SCHEDULES)) {
    const pipeline = pipelineOf(schedule, settings);
    const orders = schedule.make(pipeline);
    const { makespan, cost, bubbleRate, peakMemory } = simulateOrders(orders, pipeline);
    const lines = orders.map((order) => line(order) + "\n").join("");
    const again = parseOrders(lines).map((order) => line(order) + "\n").join("");
    console.log(JSON.stringify({ name, makespan, cost, bubbleRate, peakMemory, lines, again }));
  }
}
)";

std::vector<std::string> output_of(const std::string& command) {
  std::vector<std::string> lines(1);
  std::FILE* const pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return {};
  std::array<char, 4096> part;
  while (std::fgets(part.data(), part.size(), pipe) != nullptr) {
    lines.back() += part.data();
    if (lines.back().ends_with('\n')) lines.emplace_back();
  }
  pclose(pipe);
  lines.pop_back();
  return lines;
}

std::string settings_json(const PipelineSettings& settings) {
  return test::page_data(schedule_page({}, settings), "data").at("settings").dump();
}

std::vector<PipelineSettings> many_settings() {
  std::vector<PipelineSettings> all;
  for (const int p : {2, 4, 8}) {
    for (const int m : {1, 5, 24}) {
      PipelineSettings settings{.positions = p, .microbatches = m, .model = {}, .latency = 0.3};
      for (int stage = 0; stage < p; ++stage) {
        const double x = 1 + 0.125 * stage;
        settings.model.push_back({x, 1.25, 0.75 * x, 2.5 + x, 3, 1});
      }
      all.push_back(settings);
    }
  }
  all.back().chunks = 3;
  all.back().group = 11;
  all.back().memory_limit = 20;
  return all;
}

TEST(SchedulePage, ItsScriptsComeToTheSame) {
  if (std::system("node --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "there is no node";
  const std::vector<PipelineSettings> settings = many_settings();
  std::string script = fmt::format("{}{}", page_file("schedule_orders.js"), page_file("schedule_engine.js"));
  script += "const SETTINGS = [";
  for (const PipelineSettings& one : settings) script += settings_json(one) + ",\n";
  script += "];\n" + std::string(kHarness);
  const auto path = std::filesystem::temp_directory_path() / "dml_schedule_page_test.js";
  std::ofstream(path) << script;
  const std::vector<std::string> lines = output_of("node " + path.string());
  std::filesystem::remove(path);
  ASSERT_EQ(lines.size(), settings.size() * all_schedules().size());
  auto line = lines.begin();
  for (const PipelineSettings& one : settings) {
    for (const ScheduleDef& schedule : all_schedules()) {
      SCOPED_TRACE(fmt::format("{} p={} m={}", schedule.name, one.positions, one.microbatches));
      const auto page = nlohmann::json::parse(*line++);
      const SimulatedSchedule ours = simulated(schedule, one);
      ASSERT_EQ(page["name"], schedule.name);
      EXPECT_EQ(page["lines"].get<std::string>(), passes_text(ours.orders));
      EXPECT_EQ(page["again"], page["lines"]);
      EXPECT_DOUBLE_EQ(page["makespan"].get<double>(), ours.times.makespan);
      EXPECT_DOUBLE_EQ(page["cost"].get<double>(), ours.times.cost);
      EXPECT_NEAR(page["bubbleRate"].get<double>(), ours.times.bubble_rate, 1e-12);
      EXPECT_DOUBLE_EQ(page["peakMemory"].get<double>(), ours.peak_memory());
    }
  }
}

TEST(SchedulePage, IsOneFileWithTheOrdersOfSchedulesOfOnesOwn) {
  PipelineSettings settings{.positions = 2, .microbatches = 2, .model = std::vector<StageCost>(2)};
  SimulatedSchedule own = simulated(find_schedule("1f1b"), settings);
  own.name = "</script>.csv";
  const std::string page = schedule_page(std::vector{own, simulated(find_schedule("zb-h1"), settings)}, settings);
  EXPECT_NE(page.find("0F0,0F1,0B0,0B1\\n1F0,1B0,1F1,1B1"), std::string::npos);
  EXPECT_EQ(page.find("</script>.csv"), std::string::npos);
  EXPECT_EQ(page.find("{{"), std::string::npos);
  for (const char* const fetched : {"src=", "<link", "import ", "fetch(", "@import"})
    EXPECT_EQ(page.find(fetched), std::string::npos) << fetched;
}

}  // namespace
}  // namespace dml
