#include "runtime/program/arena.h"

#include <gtest/gtest.h>

#include "parallel/memory/memory_plan.h"
#include "runtime/device/device.h"

namespace dml {
namespace {

TEST(Arena, KnowsWhatWasTouched) {
  const auto device = make_cpu_device();
  Arena arena(*device, 1000);
  EXPECT_EQ(arena.size(), 1024);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(arena.data()) % kBufferAlignment, 0U);
  EXPECT_EQ(arena.touched_bytes(), 0);
  arena.data()[700] = std::byte{1};
  EXPECT_EQ(arena.touched_bytes(), 701);
  EXPECT_EQ(Arena().touched_bytes(), 0);
  EXPECT_EQ(Arena(*device, 0).data(), nullptr);
}

}  // namespace
}  // namespace dml
