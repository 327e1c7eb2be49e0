// Schedules as text: what is printed is read back, PyTorch's own files are read, faults are refused.
#include "parallel/pipeline/actions.h"

#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>

namespace dml {
namespace {

std::string file_text(const std::string& name) {
  std::ifstream file(std::string(DML_TEST_DATA) + "/schedules/" + name);
  EXPECT_TRUE(file.good()) << name;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(ScheduleActions, WhatIsPrintedIsReadBack) {
  for (const ScheduleDef* schedule : trainable_schedules()) {
    const Pipeline pipeline{.placement = Placement(4, schedule->chunks, schedule->placement), .microbatches = 9};
    const std::vector<Order> orders = schedule->orders(pipeline);
    for (const std::string& text : {passes_text(orders), actions_text(orders, pipeline.placement, 9)}) {
      const ParsedSchedule read = parse_actions(text);
      EXPECT_EQ(read.orders, orders) << schedule->name;
      EXPECT_EQ(read.microbatches, 9);
      for (int stage = 0; stage < pipeline.placement.num_stages(); ++stage)
        EXPECT_EQ(read.placement.position(stage), pipeline.placement.position(stage)) << schedule->name;
    }
  }
}

TEST(ScheduleActions, DualPipeVIsPyTorchs) {
  const ParsedSchedule read = parse_actions(file_text("pytorch_dualpipev_4rank_10mb.csv"));
  const ScheduleDef& schedule = find_schedule("dualpipe-v");
  const Pipeline pipeline{.placement = Placement(4, 2, schedule.placement), .microbatches = 10};
  EXPECT_EQ(read.orders, schedule.orders(pipeline));
  EXPECT_EQ(passes_text(read.orders), file_text("pytorch_dualpipev_4rank_10mb.csv"));
}

TEST(ScheduleActions, TransfersStandWherePyTorchPutsThem) {
  const std::string file = file_text("pytorch_zb1p_2rank_2stagep_comms.csv");
  const ParsedSchedule read = parse_actions(file);
  EXPECT_EQ(read.placement.num_stages(), 4);
  EXPECT_EQ(read.microbatches, 8);
  EXPECT_EQ(actions_text(read.orders, read.placement, 8), file);
}

TEST(ScheduleActions, AWholeBackwardPassIsHalfWhereItsOtherHalfStandsApart) {
  const ParsedSchedule read = parse_actions("0F0,,0B0, 0W0\n");
  EXPECT_EQ(read.orders[0],
            (Order{{Phase::forward, 0, 0}, {Phase::input_grad, 0, 0, false}, {Phase::weight_grad, 0, 0}}));
  EXPECT_TRUE(parse_actions("0F0,0BW0").orders[0][1].fused);
}

std::string message_of(const std::string& text) {
  try {
    parse_actions(text);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

TEST(ScheduleActions, WhatIsNoScheduleIsRefusedWithItsPlace) {
  EXPECT_NE(message_of("0F0,0X0").find("line 1: '0X0'"), std::string::npos);
  EXPECT_NE(message_of("0F0,0B0\n1F0,1").find("line 2: '1'"), std::string::npos);
  EXPECT_NE(message_of("(0F0,0B0)").find("'(0F0'"), std::string::npos);
  EXPECT_NE(message_of("0F0,0B9999999999").find("'0B9999999999'"), std::string::npos);
  EXPECT_NE(message_of("0F0,0B2000000").find("999999"), std::string::npos);
  for (const std::string text :
       {"", "\n", "0F0", "0B0,0F0", "0F0,0B0,0B0", "0F0,0B0\n0F1,0B1", "1F0,1B0", "-1F0", "0F0,0F0,0B0", "0F1,0B1",
        "(0F0;0B0)OVERLAP_F_B", "(0F0;0B0)", "0F0;0B0", "(0SEND_F0;0B0)OVERLAP_F_B", "0F0,0B0\n", "0UNSHARD"}) {
    if (text == "0F0,0B0\n") {
      EXPECT_EQ(message_of(text), "");
    } else {
      EXPECT_NE(message_of(text), "") << text;
    }
  }
}

/// Whatever a file says, it is read or refused.
TEST(ScheduleActions, DamagedTextIsReadOrRefused) {
  const ScheduleDef& schedule = find_schedule("dualpipe-v");
  const Pipeline pipeline{.placement = Placement(2, 2, schedule.placement), .microbatches = 5};
  const std::string valid = actions_text(schedule.orders(pipeline), pipeline.placement, 5);
  const std::string letters = "0123456789FBIW(;),\n_SENDRCV -";
  std::mt19937 random(11);
  const auto below = [&](std::size_t end) { return std::uniform_int_distribution<std::size_t>(0, end - 1)(random); };
  int refused = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string text = valid;
    for (std::size_t k = 1 + below(3); k > 0; --k) text[below(text.size())] = letters[below(letters.size())];
    if (i % 4 == 0) text.resize(below(text.size()));
    try {
      const ParsedSchedule read = parse_actions(text);
      validate(read.orders, read.placement, read.microbatches);
    } catch (const std::invalid_argument&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 1500);
}

TEST(ScheduleActions, TransfersThatDoNotMatchAreRefused) {
  const std::string valid =
      "0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1\n"
      "1RECV_F0,1RECV_F1,1F0,1B0,1SEND_B0,1F1,1B1,1SEND_B1\n";
  EXPECT_EQ(message_of(valid), "");
  EXPECT_NE(message_of(replaced(valid, "0SEND_F1,", "")).find("waits for ever in"), std::string::npos);
  EXPECT_NE(message_of(replaced(valid, "1RECV_F1,", "")).find("1F1"), std::string::npos);
  EXPECT_NE(message_of(replaced(valid, ",1SEND_B1", "")), "");
  EXPECT_NE(message_of(replaced(valid, "0F0,0SEND_F0", "0SEND_F0,0F0")).find("its pass has not run"),
            std::string::npos);
  EXPECT_NE(message_of(replaced(valid, "1RECV_F0,1RECV_F1", "1RECV_F1,1RECV_F0")), "");
  EXPECT_NE(message_of(replaced(valid, "1RECV_F0", "1RECV_F0,1RECV_F0")).find("twice"), std::string::npos);
  EXPECT_NE(message_of(replaced(valid, "1SEND_B0", "9SEND_B0")).find("there are 2 stages"), std::string::npos);
  EXPECT_NE(message_of(replaced(replaced(valid, "0SEND_F1,", ""), "1B0,", "1B0,0SEND_F1,")).find("given to position 1"),
            std::string::npos);
  EXPECT_NE(message_of(replaced(valid, "1B1,", "1B1,1SEND_F1,")).find("nobody"), std::string::npos);
  EXPECT_NE(message_of(replaced(valid, "0F1,0SEND_F1,0RECV_B0", "0RECV_B0,0F1,0SEND_F1")), "");
}

}  // namespace
}  // namespace dml
