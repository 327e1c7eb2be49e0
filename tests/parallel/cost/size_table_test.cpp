#include "parallel/cost/size_table.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

namespace dml {
namespace {

double seconds_at(const SizeTable& table, std::vector<double> sizes) { return table.seconds_at(sizes); }

SizeTable curve() { return {.axes = {{10, 1000}}, .seconds = {2, 8}, .spread = {}}; }

TEST(SizeTable, IsExactAtItsPoints) {
  EXPECT_DOUBLE_EQ(seconds_at(curve(), {10}), 2);
  EXPECT_DOUBLE_EQ(seconds_at(curve(), {1000}), 8);
}

TEST(SizeTable, IsAStraightLineInLogarithmsBetween) { EXPECT_NEAR(seconds_at(curve(), {100}), 4, 1e-12); }

TEST(SizeTable, KeepsTheSecondsBelowAndTheRateAbove) {
  EXPECT_DOUBLE_EQ(seconds_at(curve(), {1}), 2);
  EXPECT_DOUBLE_EQ(seconds_at(curve(), {4000}), 32);
}

TEST(SizeTable, InterpolatesEachAxisByItself) {
  const SizeTable table{.axes = {{1, 4}, {1, 100}}, .seconds = {1, 10, 16, 160}, .spread = {}};
  EXPECT_DOUBLE_EQ(seconds_at(table, {4, 1}), 16);
  EXPECT_NEAR(seconds_at(table, {2, 1}), 4, 1e-12);
  EXPECT_NEAR(seconds_at(table, {2, 10}), 4 * 3.1622776601683795, 1e-12);
  EXPECT_NEAR(seconds_at(table, {8, 200}), 160 * 2 * 2, 1e-9);
}

TEST(SizeTable, SaysWhatDoesNotFit) {
  EXPECT_THROW((SizeTable{}.check()), std::invalid_argument);
  EXPECT_THROW((SizeTable{{{1, 2}}, {1}, {}}.check()), std::invalid_argument);
  EXPECT_THROW((SizeTable{{{2, 1}}, {1, 1}, {}}.check()), std::invalid_argument);
  EXPECT_THROW((SizeTable{{{0, 1}}, {1, 1}, {}}.check()), std::invalid_argument);
  EXPECT_THROW((SizeTable{{{1, 2}}, {1, 0}, {}}.check()), std::invalid_argument);
  EXPECT_THROW((SizeTable{{{1, 2}}, {1, 1}, {0.1}}.check()), std::invalid_argument);
  EXPECT_NO_THROW(curve().check());
}

}  // namespace
}  // namespace dml
