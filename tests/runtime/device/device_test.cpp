// What every device does with memory, and which one a run gets. The CPU's; those of GPUs are seen in trainings.
#include "runtime/device/device.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "kernels/error.h"
#include "runtime/device/choose_device.h"

namespace dml {
namespace {

TEST(Device, WhatIsWrittenIsRead) {
  const auto device = make_cpu_device();
  std::vector<float> memory(3);
  device->write(memory.data(), sizeof(float) * memory.size(), [](void* host) {
    for (int i = 0; i < 3; ++i) static_cast<float*>(host)[i] = static_cast<float>(i);
  });
  std::vector<float> room;
  const float* read = device->read(memory.data(), 3, room);
  EXPECT_EQ((std::vector<float>{read, read + 3}), (std::vector<float>{0, 1, 2}));
}

TEST(Device, ClipsByTheNormOfAllParameters) {
  const auto device = make_cpu_device();
  const std::vector<double> squares = {9, 16};
  StepState state;
  device->clip(&state, squares.data(), 2, 1.0);
  EXPECT_FLOAT_EQ(state.clip_factor, 0.2F);
  device->clip(&state, squares.data(), 2, 10.0);
  EXPECT_EQ(state.clip_factor, 1.0F);
}

TEST(Device, CountsTheFirstOfEqualLogits) {
  const auto device = make_cpu_device();
  const std::vector<float> logits = {1, 1, 0, 0, 2, 2};
  double count = 1;
  device->count_correct(&count, logits.data(), std::vector<std::int64_t>{0, 2}.data(), 2, 3);
  EXPECT_EQ(count, 2);
}

TEST(Device, MarksThatAreNotSetAreBelowZero) {
  const auto device = make_cpu_device();
  device->begin_step(Clock::now(), 2);
  device->mark(1);
  const double result = 3;
  device->end_step(&result, sizeof result);
  EXPECT_EQ(*static_cast<const double*>(device->finish_step()), 3);
  EXPECT_LT(device->marks()[0], 0);
  EXPECT_GE(device->marks()[1], 0);
}

TEST(ChooseDevice, TakesTheCpuWhereItIsAskedFor) {
  const auto world = std::move(make_thread_world(1, {}).front());
  const ChosenDevice chosen = choose_device("cpu", *world);
  EXPECT_STREQ(chosen.device->name(), "cpu");
  EXPECT_EQ(chosen.note, "");
}

TEST(ChooseDevice, TheCpuRefusesTf32) {
  const auto world = std::move(make_thread_world(1, {}).front());
  EXPECT_THROW(choose_device("cpu", *world, true), DeviceError);
  if (count_gpus().count == 0) {
    EXPECT_THROW(choose_device("auto", *world, true), DeviceError);
  }
}

TEST(ChooseDevice, CudaIsAGpuOrAnError) {
  const auto world = std::move(make_thread_world(1, {}).front());
  if (count_gpus().count > 0) {
    EXPECT_STREQ(choose_device("cuda", *world).device->name(), "cuda");
    EXPECT_STREQ(choose_device("auto", *world).device->name(), "cuda");
  } else {
    EXPECT_THROW(choose_device("cuda", *world), DeviceError);
    EXPECT_STREQ(choose_device("auto", *world).device->name(), "cpu");
  }
}

}  // namespace
}  // namespace dml
