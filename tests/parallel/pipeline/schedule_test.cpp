// The orders of all schedules, and what validate() refuses.
#include "parallel/pipeline/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>

namespace dml {
namespace {

Placement placement_of(const ScheduleDef& schedule, int p) { return Placement(p, schedule.chunks, schedule.placement); }

template <typename Check>
void for_each_size(const Check& check) {
  for (const int p : {1, 2, 3, 4, 7}) {
    for (const int m : {1, 2, 3, 4, 5, 8, 13}) check(p, m);
  }
}

std::vector<int> microbatches_of(const Order& order, Phase phase) {
  std::vector<int> result;
  for (const Action& action : order) {
    if (action.phase == phase) result.push_back(action.microbatch);
  }
  return result;
}

/// The most microbatches whose forward pass is over and whose backward pass is not.
int peak_alive(const Order& order) {
  int alive = 0;
  int peak = 0;
  for (const Action& action : order) {
    alive += action.phase == Phase::forward ? 1 : -1;
    peak = std::max(peak, alive);
  }
  return peak;
}

TEST(Schedule, RunsEveryPassOnceInMicrobatchOrder) {
  for (const ScheduleDef& schedule : all_schedules()) {
    for_each_size([&](int p, int m) {
      const Placement placement = placement_of(schedule, p);
      const std::vector<Order> orders = schedule.orders(placement, m);
      validate(orders, placement, m);
      ASSERT_EQ(static_cast<int>(orders.size()), p);
      std::vector<int> all;
      for (int i = 0; i < m; ++i) all.push_back(i);
      for (int position = 0; position < p; ++position) {
        const Order& order = orders[static_cast<std::size_t>(position)];
        EXPECT_EQ(microbatches_of(order, Phase::forward), all) << schedule.name;
        EXPECT_EQ(microbatches_of(order, Phase::input_grad), all) << schedule.name;
        std::vector<bool> forward(all.size(), false);
        for (const Action& action : order) {
          EXPECT_EQ(placement.position(action.stage), position);
          const auto at = static_cast<std::size_t>(action.microbatch);
          EXPECT_EQ(forward[at], action.phase != Phase::forward) << action.to_string();
          forward[at] = true;
        }
      }
    });
  }
}

TEST(Schedule, PeakOfLiveMicrobatches) {
  for_each_size([](int p, int m) {
    const Placement placement(p);
    const auto gpipe = gpipe_orders(placement, m);
    const auto alternating = one_forward_one_backward_orders(placement, m);
    for (int i = 0; i < p; ++i) {
      EXPECT_EQ(peak_alive(gpipe[static_cast<std::size_t>(i)]), m);
      EXPECT_EQ(peak_alive(alternating[static_cast<std::size_t>(i)]), std::min(m, p - i)) << "p=" << p << " m=" << m;
    }
  });
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

class WrongOrders : public ::testing::Test {
 protected:
  void expect_refused(const std::string& what) {
    EXPECT_THROW(validate(orders_, placement_, 3), std::invalid_argument) << what;
    orders_ = one_forward_one_backward_orders(placement_, 3);
  }
  Placement placement_{3};
  std::vector<Order> orders_ = one_forward_one_backward_orders(placement_, 3);
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

TEST_F(WrongOrders, PositionsThatWaitForEachOther) {
  std::swap(orders_[1][0], orders_[1][1]);  // 1F1 before 1F0
  std::swap(orders_[0][0], orders_[0][1]);  // the same behind it is no deadlock ...
  EXPECT_NO_THROW(validate(orders_, placement_, 3));
  std::swap(orders_[0].front(), orders_[0].back());  // ... a backward pass first is
  expect_refused("0B2 first");
}

TEST_F(WrongOrders, PassesOfAnotherPosition) {
  std::swap(orders_[0], orders_[1]);
  expect_refused("orders of positions 0 and 1 exchanged");
}

TEST_F(WrongOrders, TooFewPositions) {
  orders_.pop_back();
  expect_refused("two orders for three positions");
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
