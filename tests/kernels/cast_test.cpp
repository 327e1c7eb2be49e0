#include "kernels/cast.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace dml {
namespace {

template <typename To, typename From>
std::vector<To> cast(DataType to, DataType from, std::vector<From> x) {
  std::vector<To> y(x.size());
  const Shape shape{static_cast<std::int64_t>(x.size())};
  cpu::cast({y.data(), to, shape}, {x.data(), from, shape});
  return y;
}

constexpr float kInf = std::numeric_limits<float>::infinity();

TEST(Cast, EveryHalfSurvivesTheWayThroughFloat) {
  std::vector<std::uint16_t> halves(65536);
  for (std::size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<std::uint16_t>(i);
  const auto floats = cast<float>(DataType::f32, DataType::f16, halves);
  const auto back = cast<std::uint16_t>(DataType::f16, DataType::f32, floats);
  for (std::size_t i = 0; i < halves.size(); ++i) {
    if (std::isnan(floats[i])) {
      EXPECT_GT(back[i] & 0x7fff, 0x7c00);
    } else {
      ASSERT_EQ(back[i], halves[i]) << floats[i];
    }
  }
  EXPECT_EQ(floats[0x3c00], 1.0f);
  EXPECT_EQ(floats[0x0001], 0x1p-24f);
  EXPECT_EQ(floats[0xfc00], -kInf);
}

TEST(Cast, HalfRoundsToNearestEven) {
  const auto y = cast<std::uint16_t, float>(DataType::f16, DataType::f32,
                                            {2049, 2051, 65519, 65520, 0x1p-25f, 0x1.8p-25f, 6.1e-5f, -1e-9f});
  const std::vector<std::uint16_t> wanted = {0x6800, 0x6802, 0x7bff, 0x7c00, 0, 1, 0x03ff, 0x8000};
  EXPECT_EQ(y, wanted);
}

TEST(Cast, BfloatRoundsToNearestEven) {
  const auto y = cast<std::uint16_t, float>(
      DataType::bf16, DataType::f32,
      {1.0f, std::bit_cast<float>(0x3f808000u), std::bit_cast<float>(0x3f818000u), kInf, std::nanf("")});
  EXPECT_EQ(std::vector<std::uint16_t>(y.begin(), y.begin() + 4),
            (std::vector<std::uint16_t>{0x3f80, 0x3f80, 0x3f82, 0x7f80}));
  EXPECT_TRUE(std::isnan(cast<float>(DataType::f32, DataType::bf16, y)[4]));
}

TEST(Cast, FloatsBecomeIntegersByTruncation) {
  EXPECT_EQ((cast<std::int64_t, float>(DataType::i64, DataType::f32, {1.9f, -1.9f, 1e30f, -1e30f, std::nanf("")})),
            (std::vector<std::int64_t>{1, -1, std::numeric_limits<std::int64_t>::max(),
                                       std::numeric_limits<std::int64_t>::min(), 0}));
  EXPECT_EQ((cast<std::uint8_t, double>(DataType::u8, DataType::f64, {-3, 7.5, 300})),
            (std::vector<std::uint8_t>{0, 7, 255}));
}

TEST(Cast, IntegersAndBooleans) {
  EXPECT_EQ((cast<float, std::int64_t>(DataType::f32, DataType::i64, {-3, 0, 1 << 24})),
            (std::vector<float>{-3, 0, 16777216}));
  EXPECT_EQ((cast<std::uint8_t, float>(DataType::boolean, DataType::f32, {0, -0.0f, 0.5f})),
            (std::vector<std::uint8_t>{0, 0, 1}));
  EXPECT_EQ((cast<float, std::uint8_t>(DataType::f32, DataType::boolean, {0, 1, 2})), (std::vector<float>{0, 1, 1}));
  EXPECT_EQ((cast<std::int32_t, std::int64_t>(DataType::i32, DataType::i64, {-5, 6})),
            (std::vector<std::int32_t>{-5, 6}));
}

}  // namespace
}  // namespace dml
