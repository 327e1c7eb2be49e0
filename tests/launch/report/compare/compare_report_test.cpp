// compare.html is whole: all files inlined, the data readable.
#include "launch/report/compare/compare_report.h"

#include <gtest/gtest.h>

#include "tests/launch/report/page_data.h"

namespace dml::test {
namespace {

TEST(ComparisonPage, HoldsTheComparison) {
  Comparison comparison;
  comparison.run = "runs/one";
  comparison.measured_step = 0.5;
  const std::string page = comparison_page(comparison, "{\"sides\":[]}");
  EXPECT_EQ(page_data(page, "comparison").at("measured_step_ms"), 500);
  EXPECT_EQ(page_data(page, "step").dump(), "{\"sides\":[]}");
  EXPECT_EQ(page.find("{{"), std::string::npos);
}

}  // namespace
}  // namespace dml::test
