#include "models/optimizer.h"

#include <gtest/gtest.h>

namespace dml {
namespace {

TEST(LearningRate, WarmsUpToTheBase) {
  EXPECT_DOUBLE_EQ(learning_rate("constant", 0.1, 0, 4, 10, 0), 0.025);
  EXPECT_DOUBLE_EQ(learning_rate("constant", 0.1, 0, 4, 10, 3), 0.1);
  EXPECT_DOUBLE_EQ(learning_rate("constant", 0.1, 0, 4, 10, 9), 0.1);
}

TEST(LearningRate, FallsByHalfACosine) {
  EXPECT_DOUBLE_EQ(learning_rate("cosine", 1, 0.2, 2, 12, 2), 1);
  EXPECT_NEAR(learning_rate("cosine", 1, 0.2, 2, 12, 7), 0.6, 1e-12);
  EXPECT_NEAR(learning_rate("cosine", 1, 0.2, 2, 12, 12), 0.2, 1e-12);
  EXPECT_NEAR(learning_rate("cosine", 1, 0.2, 2, 12, 99), 0.2, 1e-12);
}

TEST(LearningRate, FallsLinearly) {
  EXPECT_DOUBLE_EQ(learning_rate("linear", 1, 0, 0, 10, 0), 1);
  EXPECT_NEAR(learning_rate("linear", 1, 0, 0, 10, 5), 0.5, 1e-12);
  EXPECT_NEAR(learning_rate("linear", 1, 0.5, 0, 10, 10), 0.5, 1e-12);
}

TEST(LearningRate, RefusesAnotherSchedule) {
  EXPECT_THROW(learning_rate("step", 1, 0, 0, 10, 0), std::invalid_argument);
}

}  // namespace
}  // namespace dml
