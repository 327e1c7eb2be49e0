// The trace of a step: valid JSON, slices of one row that do not overlap, an arrow for every transfer.
#include "launch/report/chrome_trace.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

namespace dml {
namespace {

using Json = nlohmann::json;

Task task(TaskKind kind, QueueId queue, std::int32_t microbatch, int peer = -1) {
  Task made;
  made.id.microbatch = microbatch;
  made.kind = kind;
  made.queue = queue;
  made.value = 7;
  made.peer = peer;
  made.work = kind == TaskKind::compute ? 1 : 0;
  return made;
}

/// Two ranks of a pipeline: the first computes and sends two microbatches, the second receives both.
struct TwoRanks {
  Mesh mesh{1, 2, 1};
  std::vector<RankTasks> ranks{
      {0,
       {task(TaskKind::compute, QueueId::compute, 0), task(TaskKind::send, QueueId::pipeline_send, 0, 1),
        task(TaskKind::send, QueueId::pipeline_send, 1, 1)},
       {},
       {{.bytes = 64}, {.bytes = 64, .flops = 1e6}}},
      {1,
       {task(TaskKind::receive, QueueId::pipeline_receive, 0, 0),
        task(TaskKind::receive, QueueId::pipeline_receive, 1, 0)},
       {},
       {{.bytes = 64}}}};
  Timeline timeline{true,
                    {{0, 0, 0.0, 1e-3, 0.9e-3},
                     {1, 0, 1e-3, 3e-3, -1},
                     {2, 0, 2e-3, 4e-3, -1},
                     {0, 1, 0.0, 3e-3, -1},
                     {1, 1, 3e-3, 4e-3, -1}}};

  Json trace() const {
    std::ostringstream out;
    write_chrome_trace(out, ranks, timeline, mesh, [](const RankTasks&, const Task& t) {
      return std::string(t.kind == TaskKind::compute ? "gemm \"x\"" : "move");
    });
    return Json::parse(out.str());
  }
};

std::vector<Json> events_of(const Json& trace, const std::string& phase) {
  std::vector<Json> found;
  for (const Json& event : trace.at("traceEvents")) {
    if (event.at("ph") == phase) found.push_back(event);
  }
  return found;
}

TEST(ChromeTrace, NamesRanksAndRows) {
  const Json trace = TwoRanks().trace();
  std::map<std::string, int> names;
  for (const Json& event : events_of(trace, "M")) {
    if (event["args"].contains("name")) ++names[event["args"]["name"]];
  }
  EXPECT_EQ(names, (std::map<std::string, int>{{"rank 0 (d0 p0 t0)", 1},
                                               {"rank 1 (d0 p1 t0)", 1},
                                               {"compute", 1},
                                               {"pipeline send", 1},
                                               {"pipeline send 2", 1},
                                               {"pipeline receive", 1}}));
}

TEST(ChromeTrace, SlicesCarryTimesAndArguments) {
  const auto slices = events_of(TwoRanks().trace(), "X");
  ASSERT_EQ(slices.size(), 5U);
  EXPECT_EQ(slices[0]["name"], "gemm \"x\"");
  EXPECT_EQ(slices[0]["cat"], "forward");
  EXPECT_EQ(slices[0]["dur"], 1000.0);
  EXPECT_EQ(slices[0]["args"]["flops"], 1e6);
  EXPECT_EQ(slices[0]["args"]["processor_us"], 900.0);
  EXPECT_FALSE(slices[0]["args"]["id"].get<std::string>().empty());
  EXPECT_EQ(slices[1]["args"]["peer"], 1);
}

TEST(ChromeTrace, SlicesOfARowDoNotOverlap) {
  std::map<std::pair<int, int>, double> end;
  for (const Json& slice : events_of(TwoRanks().trace(), "X")) {
    double& row_end = end[{slice["pid"], slice["tid"]}];
    EXPECT_GE(slice["ts"].get<double>(), row_end);
    row_end = slice["ts"].get<double>() + slice["dur"].get<double>();
  }
}

TEST(ChromeTrace, ArrowsLeadFromSendToReceive) {
  const Json trace = TwoRanks().trace();
  const auto starts = events_of(trace, "s"), ends = events_of(trace, "f");
  ASSERT_EQ(starts.size(), 2U);
  ASSERT_EQ(ends.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(starts[i]["id"], ends[i]["id"]);
    EXPECT_EQ(starts[i]["pid"], 0);
    EXPECT_EQ(ends[i]["pid"], 1);
    EXPECT_EQ(ends[i]["bp"], "e");
    EXPECT_LT(starts[i]["ts"].get<double>(), ends[i]["ts"].get<double>());
  }
}

TEST(ChromeTrace, ATransferWithOneEndHasNoArrow) {
  TwoRanks two;
  two.ranks.pop_back();
  EXPECT_TRUE(events_of(two.trace(), "s").empty());
  EXPECT_EQ(events_of(two.trace(), "X").size(), 3U);
}

}  // namespace
}  // namespace dml
