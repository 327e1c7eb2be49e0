#include "launch/report/graph/svg_tree.h"

#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>

#include "kernels/error.h"
#include "launch/report/graph/dot_text.h"
#include "launch/report/graph/graphviz.h"
#include "launch/report/graph/svg_pages.h"
#include "tests/launch/report/graph/small_plan.h"

namespace dml {
namespace {

/// Where a page's links lead, with the replica's number put in.
std::vector<std::string> links_of(const SvgPage& page) {
  static const std::regex link("(?:URL|HREF)=\"([^\"]+)\"");
  std::vector<std::string> links;
  for (std::sregex_iterator at(page.dot.begin(), page.dot.end(), link), end; at != end; ++at) {
    std::string file = (*at)[1];
    const std::size_t mark = file.find(kReplicaMark);
    if (mark != std::string::npos) file.replace(mark, kReplicaMark.size(), std::to_string(page.replica));
    links.push_back(file);
  }
  return links;
}

/// All pages are reached from the first, and every link leads to one.
void expect_whole_tree(const std::vector<SvgPage>& pages) {
  std::map<std::string, const SvgPage*> by_file;
  for (const SvgPage& page : pages) EXPECT_TRUE(by_file.emplace(page.file, &page).second) << page.file << " twice";
  std::set<std::string> reached{"interactive_high_level.svg"};
  std::vector<std::string> open(reached.begin(), reached.end());
  while (!open.empty()) {
    const std::string file = open.back();
    open.pop_back();
    ASSERT_TRUE(by_file.contains(file)) << "a link leads to " << file;
    for (const std::string& link : links_of(*by_file[file])) {
      if (reached.insert(link).second) open.push_back(link);
    }
  }
  EXPECT_EQ(reached.size(), pages.size());
}

class PagesOfLayout : public testing::TestWithParam<std::tuple<int, int, int>> {};

TEST_P(PagesOfLayout, AreAllReachedAndLinkToPages) {
  const auto [d, p, t] = GetParam();
  expect_whole_tree(svg_pages(small_drawing(d, p, t, 7)));
}

TEST_P(PagesOfLayout, LeadUp) {
  const auto [d, p, t] = GetParam();
  for (const SvgPage& page : svg_pages(small_drawing(d, p, t, 7))) {
    if (page.file == "interactive_high_level.svg") continue;
    const std::vector<std::string> links = links_of(page);
    EXPECT_NE(std::find(links.begin(), links.end(), "interactive_high_level.svg"), links.end()) << page.file;
  }
}

INSTANTIATE_TEST_SUITE_P(Layouts, PagesOfLayout,
                         testing::Values(std::tuple{1, 1, 1}, std::tuple{3, 1, 1}, std::tuple{1, 4, 1},
                                         std::tuple{2, 3, 2}));

TEST(SvgPages, OfSeveralStagesPerPositionAreAllReached) {
  for (const char* schedule : {"interleaved", "zb-v", "zb-h1"}) {
    Config config = small_config(1, 2, 1, 4);
    config.model.source = "gpt:layers=4,width=32,heads=4,seq=8,vocab=16";
    config.layout.schedule = schedule;
    LayoutPlan plan(config);
    SCOPED_TRACE(schedule);
    expect_whole_tree(svg_pages(drawing_of(plan)));
  }
}

TEST(SvgPages, OfReplicasWithOneProgramHaveEqualTexts) {
  std::map<std::string, std::string> texts;
  for (const SvgPage& page : svg_pages(small_drawing(2, 2, 1, 8))) texts[page.file] = page.dot;
  EXPECT_EQ(texts.at("data_0_detail.svg"), texts.at("data_1_detail.svg"));
  EXPECT_EQ(texts.at("layer_2_data_0_detail.svg"), texts.at("layer_2_data_1_detail.svg"));
}

TEST(DotText, QuotesWhatNamesHold) {
  EXPECT_EQ(dot_quoted("a \"b\" \\n\nc"), "\"a \\\"b\\\" \\\\n\\nc\"");
  DotGraph graph("TB", {{"<m> & \"n\"", "a&b.svg"}}, {});
  EXPECT_NE(graph.finish().find("HREF=\"a&amp;b.svg\" TITLE=\"up\"><U>&lt;m&gt; &amp; &quot;n&quot;</U>"),
            std::string::npos);
}

bool has_dot() { return std::system("command -v dot >/dev/null 2>&1") == 0; }

TEST(Graphviz, LaysOutOneGraphAfterTheOther) {
  if (!has_dot()) GTEST_SKIP() << "there is no Graphviz here";
  const std::vector<std::string> svgs = layout_graphs({"digraph { first }", "digraph { second }"});
  ASSERT_EQ(svgs.size(), 2U);
  EXPECT_NE(svgs[0].find("first"), std::string::npos);
  EXPECT_EQ(svgs[0].find("second"), std::string::npos);
  EXPECT_NE(svgs[1].find("second"), std::string::npos);
}

TEST(Graphviz, SaysWhatIsMissing) {
  try {
    layout_graphs({"digraph { a }"}, "no_such_dot");
    FAIL() << "it ran";
  } catch (const IoError& error) {
    EXPECT_NE(std::string(error.what()).find("no program 'no_such_dot' in PATH"), std::string::npos) << error.what();
  }
}

TEST(Graphviz, RefusesWhatIsNoGraph) {
  if (!has_dot()) GTEST_SKIP() << "there is no Graphviz here";
  EXPECT_THROW(layout_graphs({"digraph { a }", "digraph { ["}), IoError);
}

TEST(SvgTree, PutsTheReplicaIntoItsPages) {
  if (!has_dot()) GTEST_SKIP() << "there is no Graphviz here";
  for (const OutputFile& file : svg_tree(small_drawing(2, 1, 1, 8))) {
    EXPECT_EQ(file.content.find(kReplicaMark), std::string::npos) << file.name;
    if (file.name != "data_1_detail.svg") continue;
    EXPECT_NE(file.content.find("stage_0_data_1_detail.svg"), std::string::npos);
    EXPECT_EQ(file.content.find("data_0_detail.svg"), std::string::npos);
  }
}

}  // namespace
}  // namespace dml
