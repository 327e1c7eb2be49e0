#include "launch/report/graph/graph_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "launch/report/page/page_file.h"
#include "tests/launch/report/graph/small_plan.h"

namespace dml {
namespace {

using Json = nlohmann::json;

TEST(GraphJson, SaysLayoutAndReplicas) {
  const Json json = Json::parse(graph_json(small_drawing(2, 3, 2, 9)));
  EXPECT_EQ(json["format"], "dmltrain graph");
  EXPECT_EQ(json["version"], kGraphJsonVersion);
  EXPECT_EQ(json["layout"]["d"], 2);
  EXPECT_EQ(json["layout"]["stages"].size(), 3U);
  EXPECT_EQ(json["layout"]["actions"].size(), 3U);
  EXPECT_EQ(json["layout"]["actions"][0][0], "0F0");
  ASSERT_EQ(json["replicas"].size(), 2U);
  EXPECT_EQ(json["replicas"][1]["first_sample"], 4);
  EXPECT_EQ(json["programs"].size(), 2U);
}

TEST(GraphJson, NamesEveryTaskOnce) {
  const Json json = Json::parse(graph_json(small_drawing(1, 2, 2)));
  std::set<std::string> ids;
  const Json& tasks = json["programs"][0]["tasks"];
  for (const Json& task : tasks) {
    const std::string id = task["phase"].get<std::string>() + std::to_string(task["position"].get<int>()) + "." +
                           std::to_string(task["n"].get<int>());
    EXPECT_TRUE(ids.insert(id).second) << id;
    for (const Json& input : task["inputs"]) EXPECT_LT(input.get<std::size_t>(), tasks.size());
  }
  EXPECT_GT(ids.size(), 100U);
}

TEST(GraphJson, GivesNumbersByRankWhereTheyDiffer) {
  const Json json = Json::parse(graph_json(small_drawing(1, 1, 3, 2)));  // 4 heads over 3 ranks
  for (const Json& task : json["programs"][0]["tasks"]) {
    if (task["name"] == "/blocks.0/attn/q/MatMul") {
      EXPECT_EQ(task["flops"], (Json{8320.0, 8320.0, 16640.0}));  // (2·32 + 1)·(2·8)·(8, 8, 16), bias included
      EXPECT_EQ(task["outputs"][0]["local_shapes"].size(), 3U);
    }
    if (task["name"] == "/blocks.0/Add") {
      EXPECT_TRUE(task["flops"].is_number());
    }
  }
}

TEST(GraphPage, IsWholeAndHoldsItsData) {
  const std::string data = json_for_page(R"({"name": "</script><b>"})");
  EXPECT_EQ(data, R"({"name": "\u003c/script>\u003cb>"})");
  EXPECT_EQ(Json::parse(data)["name"], "</script><b>");
  const std::string page = filled_page("graph.html", {{"data", data}, {"times", "null"}});
  EXPECT_NE(page.find(data), std::string::npos);
  for (const char* left : {"{{data", "{{graph"}) EXPECT_EQ(page.find(left), std::string::npos) << left;
  EXPECT_NE(page.find("class View"), std::string::npos);
  EXPECT_EQ(page.find("http://"), std::string::npos);
  EXPECT_EQ(page.find("https://"), std::string::npos);
}

}  // namespace
}  // namespace dml
