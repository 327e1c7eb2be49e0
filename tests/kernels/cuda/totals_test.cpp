#include "kernels/totals.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "tests/kernels/cuda/device_fixture.h"

namespace dml {
namespace {

using CudaTotals = testing::DeviceTest;

/// Few different numbers, so that rows have several largest entries.
std::vector<float> logits_with_ties(std::int64_t n) {
  std::vector<float> logits = testing::uniform<float>(n, 0, 4, 3);
  for (float& logit : logits) logit = std::floor(logit);
  return logits;
}

TEST_F(CudaTotals, CorrectRowsAreThoseOfTheCpu) {
  constexpr std::int64_t kClasses = 7;
  for (const std::int64_t rows : {1, 31, 256, 700}) {
    const std::vector<float> logits = logits_with_ties(rows * kClasses);
    std::vector<std::int64_t> labels = testing::uniform<std::int64_t>(rows, 0, kClasses - 0.5, 5);
    if (rows > 1) labels[1] = -100;
    double expected = 10;  // what was counted before
    cpu::count_correct(&expected, logits.data(), labels.data(), rows, kClasses);

    auto* const count = upload(std::vector<double>{10});
    cuda::count_correct(count, upload(logits), upload(labels), rows, kClasses, queue());
    EXPECT_EQ(download(count, 1)[0], expected) << rows << " rows";
  }
}

TEST_F(CudaTotals, ScalarsAddUpInDouble) {
  auto* const sum = upload(std::vector<double>{1e9});
  auto* const addend = upload(std::vector<float>{0.25F});
  for (int i = 0; i < 3; ++i) cuda::add_scalar(sum, addend, queue());
  EXPECT_EQ(download(sum, 1)[0], 1e9 + 0.75);
}

}  // namespace
}  // namespace dml
