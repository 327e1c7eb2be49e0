// The order of a step's passes decides when, not what: all schedules train to the same bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/pipeline/schedule.h"
#include "tests/runtime/training_world.h"

namespace dml::test {
namespace {

Training dropout_gpt() {
  Training training;
  training.graph_of = [](std::int64_t samples) {
    return zoo_graph("gpt:layers=4,width=12,heads=3,seq=5,vocab=11,dropout=0.2", samples);
  };
  return training;
}

void expect_same_bits(const Trained& found, const Trained& wanted) {
  EXPECT_EQ(found.losses, wanted.losses);
  // The norm adds up ranks, which hold other stages where the placement differs: the last bits of a double.
  for (std::size_t i = 0; i < wanted.norms.size(); ++i) EXPECT_NEAR(found.norms[i], wanted.norms[i], 1e-12);
  ASSERT_EQ(found.weights.size(), wanted.weights.size());
  for (const auto& [name, weights] : wanted.weights) EXPECT_TRUE(found.weights.at(name) == weights) << name;
}

class ScheduleTraining : public ::testing::TestWithParam<std::string_view> {};

TEST_P(ScheduleTraining, ComesToTheBitsOf1f1b) {
  for (const auto& [d, p, m] : {std::array{1, 3, 5}, {2, 2, 3}, {1, 4, 8}}) {
    SCOPED_TRACE("d=" + std::to_string(d) + " p=" + std::to_string(p) + " m=" + std::to_string(m));
    const Trained wanted = train_on_threads(dropout_gpt(), {d, p, 1, m, "1f1b"});
    expect_same_bits(train_on_threads(dropout_gpt(), {d, p, 1, m, std::string(GetParam())}), wanted);
  }
}

std::vector<std::string_view> names_beside_1f1b() {
  std::vector<std::string_view> names;
  for (const ScheduleDef* schedule : trainable_schedules()) {
    if (schedule->name != "1f1b") names.push_back(schedule->name);
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(Every, ScheduleTraining, ::testing::ValuesIn(names_beside_1f1b()),
                         [](const ::testing::TestParamInfo<std::string_view>& info) {
                           std::string name(info.param);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return "_" + name;
                         });

TEST(TwoCopies, AreRefusedWithWhatWouldDo) {
  try {
    train_on_threads(dropout_gpt(), {1, 2, 1, 4, "dualpipe"});
    FAIL();
  } catch (const std::exception& error) {
    EXPECT_NE(std::string(error.what()).find("dualpipe-v"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace dml::test
