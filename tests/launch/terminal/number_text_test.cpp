#include "launch/terminal/number_text.h"

#include <gtest/gtest.h>

#include <numeric>

namespace dml {
namespace {

TEST(NumberText, ThreeDigits) {
  EXPECT_EQ(number_text(0), "0");
  EXPECT_EQ(number_text(1.84), "1.84");
  EXPECT_EQ(number_text(9.996), "10.0");
  EXPECT_EQ(number_text(41.23), "41.2");
  EXPECT_EQ(number_text(99.96), "100");
  EXPECT_EQ(number_text(12345), "12345");
  EXPECT_EQ(number_text(25e6), "2.5e+07");
  EXPECT_EQ(number_text(0.5), "0.50");
  EXPECT_EQ(number_text(0.05), "0.050");
  EXPECT_EQ(number_text(0.005), "0.0050");
  EXPECT_EQ(number_text(3.1e-5), "3.1e-05");
}

TEST(NumberText, Scales) {
  EXPECT_EQ(scaled_text(24900), "24.9k");
  EXPECT_EQ(scaled_text(999), "999");
  EXPECT_EQ(scaled_text(999.9), "1.00k");
  EXPECT_EQ(scaled_text(1.21e6), "1.21M");
  EXPECT_EQ(scaled_text(46.3e9, "FLOP/s"), "46.3 GFLOP/s");
  EXPECT_EQ(bytes_text(812), "812 B");
  EXPECT_EQ(bytes_text(1024), "1.00 KiB");
  EXPECT_EQ(bytes_text(3'300'000), "3.15 MiB");
}

TEST(NumberText, TimesAndRates) {
  EXPECT_EQ(seconds_text(0), "0 ms");
  EXPECT_EQ(seconds_text(83.3e-6), "83.3 us");
  EXPECT_EQ(seconds_text(0.0412), "41.2 ms");
  EXPECT_EQ(seconds_text(6.3), "6.30 s");
  EXPECT_EQ(rate_text(3e-3), "3.0e-3");
  EXPECT_EQ(rate_text(0.1), "1.0e-1");
  EXPECT_EQ(rate_text(1), "1.0e0");
  EXPECT_EQ(rate_text(0), "0");
}

TEST(NumberText, Groups) {
  EXPECT_EQ(grouped_text(0), "0");
  EXPECT_EQ(grouped_text(999), "999");
  EXPECT_EQ(grouped_text(842368), "842,368");
  EXPECT_EQ(grouped_text(1234567890), "1,234,567,890");
  EXPECT_EQ(grouped_text(-123456), "-123,456");
}

TEST(NumberText, PercentagesAddUp) {
  EXPECT_EQ(percentages(std::vector<double>{1, 1, 1}), (std::vector<int>{34, 33, 33}));
  EXPECT_EQ(percentages(std::vector<double>{0, 0}), (std::vector<int>{0, 0}));
  EXPECT_EQ(percentages(std::vector<double>{5, 0}), (std::vector<int>{100, 0}));
  for (int n = 1; n < 40; ++n) {
    std::vector<double> parts;
    for (int i = 0; i < n; ++i) parts.push_back(1.0 / (1 + i * i));
    const auto percents = percentages(parts);
    EXPECT_EQ(std::accumulate(percents.begin(), percents.end(), 0), 100) << n;
  }
}

}  // namespace
}  // namespace dml
