#include "launch/options/nearest.h"

#include <gtest/gtest.h>

#include <array>

namespace dml {
namespace {

TEST(Nearest, EditDistance) {
  EXPECT_EQ(edit_distance("", ""), 0);
  EXPECT_EQ(edit_distance("abc", ""), 3);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("warmup", "warm-up"), 1);
}

TEST(Nearest, SuggestsOnlyWhatIsNear) {
  constexpr std::array<std::string_view, 3> kNames = {"layouts", "data", "errors"};
  EXPECT_EQ(did_you_mean("layuots", kNames), " (did you mean layouts?)");
  EXPECT_EQ(did_you_mean("lay", kNames), " (did you mean layouts?)");
  EXPECT_EQ(did_you_mean("dta", kNames, "--"), " (did you mean --data?)");
  EXPECT_EQ(did_you_mean("xyz", kNames), "");
  EXPECT_EQ(did_you_mean("x", {}), "");
}

}  // namespace
}  // namespace dml
