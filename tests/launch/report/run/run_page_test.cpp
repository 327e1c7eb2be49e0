// report.html is whole: all files inlined, the data readable, nothing that ends its <script> early.
#include "launch/report/run/run_page.h"

#include <gtest/gtest.h>

#include "tests/launch/report/page_data.h"

namespace dml::test {
namespace {

using Json = nlohmann::json;

std::string page_of_a_run(const std::string& sample) {
  RunPlan plan;
  plan.model = "gpt";
  plan.p = 2;
  plan.schedule = "1f1b";
  plan.ranks = {
      {.rank = 0, .at = {}, .host = "a", .layers = "0-1", .parameters = 7, .planned_bytes = 1, .used_bytes = 0},
      {.rank = 1, .at = {0, 1, 0}, .host = "b", .layers = "2", .parameters = 8, .planned_bytes = 2, .used_bytes = 0}};
  RunSummary summary;
  summary.ranks = plan.ranks;
  summary.mean_steps.resize(2);
  summary.mean_steps[1].rank = 1;
  summary.mean_steps[1].parts.bubble = 0.25;
  summary.sample = sample;
  RunHistory history(2);
  history.add({}, summary.mean_steps);
  return run_page("runs/one", Config{}, plan, summary, history, "{}");
}

TEST(RunPage, HoldsTheRun) {
  const Json run = page_data(page_of_a_run("text"), "run");
  EXPECT_EQ(run.at("folder"), "runs/one");
  EXPECT_EQ(run.at("ranks").at(1).at("place"), "d0 p1 t0");
  EXPECT_EQ(run.at("ranks").at(1).at("bubble_ms"), 250);
  EXPECT_EQ(run.at("facts").at(2), (Json{"layout", "d=1 p=2 t=1: 2 ranks, schedule 1f1b"}));
}

TEST(RunPage, NeedsNoOtherFile) {
  const std::string page = page_of_a_run("");
  EXPECT_EQ(page.find("{{"), std::string::npos);
  for (const char* link : {"src=", "href=", "@import", "url("}) EXPECT_EQ(page.find(link), std::string::npos) << link;
}

TEST(RunPage, TextOfTheModelCannotEndItsScript) {
  const std::string sample = "</script><b>\xff";
  EXPECT_EQ(page_data(page_of_a_run(sample), "run").at("sample"), "</script><b>\xef\xbf\xbd");
}

}  // namespace
}  // namespace dml::test
