// The orders of all schedules, and what validate() refuses.
#include "parallel/pipeline/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <stdexcept>

#include "parallel/pipeline/orders.h"

namespace dml {
namespace {

Pipeline pipeline_of(const ScheduleDef& schedule, int p, int m, int chunks = 0) {
  return {.placement = Placement(p, chunks == 0 ? schedule.chunks : chunks, schedule.placement), .microbatches = m};
}

bool exists(const ScheduleDef& schedule, int p) { return schedule.name != "dualpipe" || p % 2 == 0; }

/// Valid, and never more alive than the schedule promises.
void check_schedule(const ScheduleDef& schedule, const Pipeline& pipeline) {
  const std::vector<Order> orders = schedule.orders(pipeline);
  ASSERT_NO_THROW(validate(orders, pipeline.placement, pipeline.microbatches, schedule.copies));
  for (int i = 0; i < pipeline.placement.num_positions(); ++i) {
    const Order& order = orders[static_cast<std::size_t>(i)];
    if (schedule.most_alive != nullptr) {
      ASSERT_LE(most_alive(order), schedule.most_alive(pipeline, i)) << "position " << i;
    }
    if (pipeline.memory_limit > 0) {
      ASSERT_LE(peak_memory(order, pipeline), pipeline.memory_limit * (1 + 1e-9)) << "position " << i;
    }
  }
}

TEST(Schedule, IsValidForEverySmallSize) {
  for (const ScheduleDef& schedule : all_schedules()) {
    for (int p = 1; p <= 8; ++p) {
      for (int m = 1; m <= 20 && exists(schedule, p); ++m) {
        SCOPED_TRACE(::testing::Message() << schedule.name << " p=" << p << " m=" << m);
        check_schedule(schedule, pipeline_of(schedule, p, m));
      }
    }
  }
}

/// Sizes, chunks, groups, times and memory drawn at random; the seed is fixed.
class GeneratedPipelines {
 public:
  Pipeline next(const ScheduleDef& schedule) {
    const int p = schedule.name == "dualpipe" ? 2 * pick(1, 6) : pick(1, 12);
    Pipeline pipeline = pipeline_of(schedule, p, pick(1, 40), schedule.any_chunks ? pick(1, 4) : 0);
    if (schedule.any_chunks) pipeline.group = pick(0, 1) * (p + pick(0, 3));
    if (schedule.most_alive == nullptr) draw_costs(pipeline);
    return pipeline;
  }

  void draw_costs(Pipeline& pipeline) {
    double largest = 0;
    for (int stage = 0; stage < pipeline.placement.num_stages(); ++stage) {
      const double activations = draw(1, 4);
      largest = std::max(largest, activations);
      pipeline.costs.push_back({draw(0.1, 3), draw(0.1, 3), draw(0, 3), 0, activations, draw(0, activations)});
    }
    pipeline.latency = draw(0, 1);
    pipeline.memory_limit = largest * draw(1, 2.5 * pipeline.placement.num_positions());
  }

 private:
  int pick(int least, int most) { return std::uniform_int_distribution<int>(least, most)(random_); }
  double draw(double least, double most) { return std::uniform_real_distribution<double>(least, most)(random_); }

  std::mt19937 random_{2401};
};

TEST(Schedule, IsValidForFiveThousandGeneratedPipelines) {
  GeneratedPipelines generated;
  const auto schedules = all_schedules();
  for (std::size_t i = 0; i < 5000; ++i) {
    const ScheduleDef& schedule = schedules[i % schedules.size()];
    const Pipeline pipeline = generated.next(schedule);
    SCOPED_TRACE(::testing::Message() << i << ": " << schedule.name << " p=" << pipeline.placement.num_positions()
                                      << " stages=" << pipeline.placement.num_stages() << " m=" << pipeline.microbatches
                                      << " group=" << pipeline.group << " limit=" << pipeline.memory_limit);
    ASSERT_NO_FATAL_FAILURE(check_schedule(schedule, pipeline));
  }
}

TEST(Schedule, AllButThatOfTwoCopiesCanBeTrained) {
  std::vector<std::string_view> expected;
  for (const ScheduleDef& schedule : all_schedules()) {
    if (schedule.name != "dualpipe") expected.push_back(schedule.name);
  }
  std::vector<std::string_view> names;
  for (const ScheduleDef* schedule : trainable_schedules()) names.push_back(schedule->name);
  EXPECT_EQ(names, expected);
}

TEST(Schedule, PromisesOfLiveMicrobatchesAreReached) {
  for (const ScheduleDef& schedule : all_schedules()) {
    if (schedule.most_alive == nullptr) continue;
    const Pipeline pipeline = pipeline_of(schedule, 4, 24);
    const std::vector<Order> orders = schedule.orders(pipeline);
    int slack = 1000;
    for (int i = 0; i < 4; ++i) {
      const int alive = most_alive(orders[static_cast<std::size_t>(i)]);
      slack = std::min(slack, schedule.most_alive(pipeline, i) - alive);
    }
    EXPECT_EQ(slack, 0) << schedule.name;
  }
}

// So that a plan may refuse what lacks memory before it makes an order.
TEST(Schedule, LeastAliveIsReachedAtOnce) {
  GeneratedPipelines generated;
  int told = 0, all = 0;
  for (int i = 0; i < 3000; ++i) {
    const ScheduleDef& schedule = all_schedules()[static_cast<std::size_t>(i) % all_schedules().size()];
    const Pipeline pipeline = generated.next(schedule);
    SCOPED_TRACE(::testing::Message() << schedule.name << " stages=" << pipeline.placement.num_stages()
                                      << " m=" << pipeline.microbatches << " group=" << pipeline.group);
    const std::vector<Order> orders = schedule.orders(pipeline);
    const std::vector<int> least = least_alive(schedule, pipeline);
    ASSERT_EQ(least.size(), orders.size());
    for (std::size_t position = 0; position < orders.size(); ++position) {
      const int most = most_alive(orders[position]);
      ASSERT_LE(least[position], most) << "position " << position;
      told += least[position];
      all += most;
    }
  }
  EXPECT_GT(told, all * 4 / 5);
}

TEST(Schedule, MemoryOfZeroBubbleIsThePapers) {
  const double w = StageCost{}.weight_inputs;  // M_W where M_B is 1; Table 2 of the paper counts workers from 1
  const Pipeline pipeline{.placement = Placement(6), .microbatches = 30};
  for (int i = 1; i <= 6; ++i) {
    const auto at = static_cast<std::size_t>(i - 1);
    EXPECT_DOUBLE_EQ(peak_memory(zb_h1_orders(pipeline)[at], pipeline), (6 - i + 1) + (i - 1) * w);
    EXPECT_DOUBLE_EQ(peak_memory(zb_h2_orders(pipeline)[at], pipeline), (2 * 6 - 2 * i + 1) + (2 * i - 2) * w);
    EXPECT_LE(peak_memory(zb_1p_orders(pipeline)[at], pipeline), 6);
    EXPECT_LE(peak_memory(zb_2p_orders(pipeline)[at], pipeline), 12);
  }
}

TEST(Schedule, WithoutAPlaceForOneMicrobatchThereIsNone) {
  Pipeline pipeline{.placement = Placement(3), .microbatches = 4};
  pipeline.memory_limit = 0.9;
  EXPECT_THROW(zb_1p_orders(pipeline), std::invalid_argument);
  pipeline.memory_limit = 1;
  EXPECT_NO_THROW(zb_1p_orders(pipeline));
}

TEST(Schedule, SizesThatDoNotExistAreRefused) {
  EXPECT_THROW(dual_pipe_orders({.placement = Placement(3, 2, Placement::Kind::v_shape), .microbatches = 8}),
               std::invalid_argument);
  EXPECT_THROW(
      interleaved_orders({.placement = Placement(4, 2, Placement::Kind::interleaved), .microbatches = 8, .group = 3}),
      std::invalid_argument);
}

TEST(Schedule, IsFoundByName) {
  EXPECT_EQ(find_schedule("1f1b").name, "1f1b");
  try {
    find_schedule("zigzag");
    FAIL();
  } catch (const std::invalid_argument& error) {
    for (const ScheduleDef& schedule : all_schedules()) {
      EXPECT_NE(std::string(error.what()).find(schedule.name), std::string::npos) << error.what();
    }
  }
}

TEST(Schedule, ActionsHavePyTorchsNames) {
  EXPECT_EQ((Action{Phase::forward, 0, 3}).to_string(), "0F3");
  EXPECT_EQ((Action{Phase::input_grad, 1, 2}).to_string(), "1B2");
  EXPECT_EQ((Action{Phase::input_grad, 1, 2, false}).to_string(), "1I2");
  EXPECT_EQ((Action{Phase::weight_grad, 10, 2}).to_string(), "10W2");
}

/// Each of the orders below is one fault away from a valid schedule.
class WrongOrders : public ::testing::Test {
 protected:
  void expect_refused(const std::string& what) {
    EXPECT_THROW(validate(orders_, placement_, 3), std::invalid_argument) << what;
    orders_ = one_forward_one_backward_orders({.placement = placement_, .microbatches = 3});
  }
  Placement placement_{3};
  std::vector<Order> orders_ = one_forward_one_backward_orders({.placement = placement_, .microbatches = 3});
};

TEST_F(WrongOrders, EveryDroppedAction) {
  for (std::size_t position = 0; position < 3; ++position) {
    for (std::size_t i = 0; i < 6; ++i) {
      orders_[position].erase(orders_[position].begin() + static_cast<std::ptrdiff_t>(i));
      expect_refused("position " + std::to_string(position) + " without action " + std::to_string(i));
    }
  }
}

TEST_F(WrongOrders, EveryDoubledAction) {
  for (std::size_t position = 0; position < 3; ++position) {
    for (std::size_t i = 0; i < 6; ++i) {
      orders_[position].push_back(orders_[position][i]);
      expect_refused("action " + std::to_string(i) + " again at the end of position " + std::to_string(position));
    }
  }
}

TEST_F(WrongOrders, BackwardBeforeForward) {
  for (std::size_t position = 0; position < 3; ++position) {
    const auto backward = std::find_if(orders_[position].begin(), orders_[position].end(),
                                       [](const Action& a) { return a.phase == Phase::input_grad; });
    std::rotate(orders_[position].begin(), backward, backward + 1);
    expect_refused("position " + std::to_string(position));
  }
}

TEST_F(WrongOrders, MicrobatchesOutOfOrder) {
  std::swap(orders_[1][0], orders_[1][1]);
  expect_refused("1F1 before 1F0: its result would be taken for that of 1F0");
}

TEST_F(WrongOrders, PositionsThatWaitForEachOther) {
  orders_[0] = {{Phase::forward, 0, 0},    {Phase::input_grad, 0, 0}, {Phase::forward, 0, 1},
                {Phase::input_grad, 0, 1}, {Phase::forward, 0, 2},    {Phase::input_grad, 0, 2}};
  expect_refused("position 0 wants the first backward before its second forward, position 1 has two forwards first");
}

TEST_F(WrongOrders, PassesOfAnotherPosition) {
  std::swap(orders_[0], orders_[1]);
  expect_refused("orders of positions 0 and 1 exchanged");
}

TEST_F(WrongOrders, TooFewPositions) {
  orders_.pop_back();
  expect_refused("two orders for three positions");
}

TEST_F(WrongOrders, OverlapWithNoBackwardBehindIt) {
  orders_[0].front().with_next = true;
  expect_refused("two forwards overlap");
  orders_[2].back().with_next = true;
  expect_refused("overlap with nothing");
}

TEST_F(WrongOrders, OverlapWithAnInputThatThePairItselfMakes) {
  orders_[2].front().with_next = true;  // 2F0 with 2B0
  expect_refused("the backward needs the forward");
}

TEST_F(WrongOrders, PassesThatAreNotThere) {
  for (const Action& action :
       {Action{Phase::forward, 0, 3}, Action{Phase::input_grad, 2, 3}, Action{Phase::forward, 3, 0},
        Action{Phase::input_grad, 7, 0}, Action{Phase::forward, -1, 0}, Action{Phase::input_grad, 0, -1},
        Action{Phase::update, 0, 0}}) {
    orders_[0].insert(orders_[0].begin(), action);
    expect_refused(action.to_string());
  }
}

TEST(Schedule, WeightGradientsMayRunApart) {
  const Placement placement(1);
  Order order{{Phase::forward, 0, 0}, {Phase::input_grad, 0, 0, false}, {Phase::weight_grad, 0, 0}};
  EXPECT_NO_THROW(validate(std::vector<Order>{order}, placement, 1));
  order.pop_back();
  EXPECT_THROW(validate(std::vector<Order>{order}, placement, 1), std::invalid_argument);
  order.insert(order.begin() + 1, {Phase::weight_grad, 0, 0});
  EXPECT_THROW(validate(std::vector<Order>{order}, placement, 1), std::invalid_argument);
}

}  // namespace
}  // namespace dml
