#include "kernels/loss.h"

#include <stdexcept>

#include "kernels/tensor.h"
#include "tests/kernels/isa_fixture.h"

namespace dml {
namespace {

using testing::expect_close;
using testing::Guarded;
using testing::normal;
using testing::on_any_threads;
using Reference = std::vector<double>;

struct LossCase {
  std::int64_t rows, classes;
  std::string text() const { return std::to_string(rows) + "x" + std::to_string(classes); }
};

const std::vector<LossCase> kLossCases = {{1, 1}, {3, 10}, {33, 257}, {500, 256}, {17, 3001}};
constexpr float kScale = 0.01f;

std::vector<std::int64_t> labels_of(const LossCase& c) {
  std::vector<std::int64_t> labels;
  for (std::int64_t row = 0; row < c.rows; ++row) labels.push_back(row % 5 == 4 ? kIgnoredLabel : row * 31 % c.classes);
  return labels;
}

struct Wanted {
  double loss = 0;
  Reference lse, dlogits;
};

Wanted reference_of(const LossCase& c, const Guarded<float>& logits, const std::vector<std::int64_t>& labels) {
  Wanted wanted;
  const auto scale = static_cast<double>(kScale);
  for (std::int64_t row = 0; row < c.rows; ++row) {
    const auto x = [&](std::int64_t i) { return static_cast<double>(logits[row * c.classes + i]); };
    const std::int64_t label = labels[static_cast<std::size_t>(row)];
    double sum = 0;
    for (std::int64_t i = 0; i < c.classes; ++i) sum += std::exp(x(i));
    wanted.lse.push_back(std::log(sum));
    if (label != kIgnoredLabel) wanted.loss += scale * (std::log(sum) - x(label));
    for (std::int64_t i = 0; i < c.classes; ++i) {
      const double slope = std::exp(x(i)) / sum - (i == label ? 1 : 0);
      wanted.dlogits.push_back(label == kIgnoredLabel ? 0 : scale * slope);
    }
  }
  return wanted;
}

class Loss : public testing::IsaTest {};

TEST_P(Loss, CrossEntropyEqualsTheReference) {
  for (const LossCase& c : kLossCases) {
    const auto logits = normal(c.rows * c.classes, 1, 3.0f);
    const auto labels = labels_of(c);
    const Wanted wanted = reference_of(c, logits, labels);
    Guarded<float> lse(c.rows);
    const auto loss = on_any_threads<float>(
        [&] {
          Guarded<float> out(1);
          cpu::cross_entropy(out.data(), lse.data(), logits.data(), labels.data(), c.rows, c.classes, kScale);
          return out;
        },
        "cross_entropy " + c.text());
    expect_close(loss, {wanted.loss}, 1e-9, 3e-7, "loss " + c.text());
    expect_close(lse, wanted.lse, 1e-7, 3e-7, "lse " + c.text());
    Guarded<float> dlogits(logits.size());
    cpu::cross_entropy_grad(dlogits.data(), logits.data(), labels.data(), lse.data(), c.rows, c.classes, 0, kScale);
    expect_close(dlogits, wanted.dlogits, 1e-8, 2e-6, "dlogits " + c.text());
  }
}

TEST_P(Loss, SlicesOfClassesMergeToTheWhole) {
  for (const LossCase& c : kLossCases) {
    const auto logits = normal(c.rows * c.classes, 2, 3.0f);
    const auto labels = labels_of(c);
    const Wanted wanted = reference_of(c, logits, labels);
    for (const std::int64_t slices : {1, 2, 3}) {
      Guarded<float> stats(slices * c.rows * 3), loss(1), lse(c.rows);
      for (std::int64_t s = 0; s < slices; ++s) {
        const std::int64_t begin = part_begin(c.classes, slices, s), n = part_size(c.classes, slices, s);
        Guarded<float> part(c.rows * n);
        for (std::int64_t i = 0; i < part.size(); ++i) part[i] = logits[i / n * c.classes + begin + i % n];
        cpu::cross_entropy_stats(stats.data() + s * c.rows * 3, part.data(), labels.data(), c.rows, n, begin);
      }
      cpu::cross_entropy_merge(loss.data(), lse.data(), stats.data(), labels.data(), slices, c.rows, kScale);
      expect_close(loss, {wanted.loss}, 1e-9, 3e-7, "merged loss " + c.text());
      expect_close(lse, wanted.lse, 1e-7, 3e-7, "merged lse " + c.text());
      for (std::int64_t s = 0; s < slices; ++s) {
        const std::int64_t begin = part_begin(c.classes, slices, s), n = part_size(c.classes, slices, s);
        Guarded<float> part(c.rows * n), dpart(c.rows * n);
        Reference expected;
        for (std::int64_t i = 0; i < part.size(); ++i) {
          part[i] = logits[i / n * c.classes + begin + i % n];
          expected.push_back(wanted.dlogits[static_cast<std::size_t>(i / n * c.classes + begin + i % n)]);
        }
        cpu::cross_entropy_grad(dpart.data(), part.data(), labels.data(), lse.data(), c.rows, n, begin, kScale);
        expect_close(dpart, expected, 1e-8, 2e-6, "dlogits of a slice " + c.text());
      }
    }
  }
}

TEST_P(Loss, MeanSquaredErrorEqualsTheReference) {
  for (const std::int64_t n : {0, 1, 33, 100003}) {
    const auto x = normal(n, 3), target = normal(n, 4);
    double sum = 0;
    Reference slopes;
    for (std::int64_t i = 0; i < n; ++i) {
      const double difference = static_cast<double>(x[i]) - static_cast<double>(target[i]);
      sum += difference * difference;
      slopes.push_back(2 * static_cast<double>(kScale) * difference);
    }
    const auto loss = on_any_threads<float>(
        [&] {
          Guarded<float> out(1);
          cpu::mean_squared_error(out.data(), x.data(), target.data(), n, kScale);
          return out;
        },
        "mean_squared_error");
    Guarded<float> dx(n);
    cpu::mean_squared_error_grad(dx.data(), x.data(), target.data(), n, kScale);
    expect_close(loss, {static_cast<double>(kScale) * sum}, 0, 5e-7, "mean_squared_error");
    expect_close(dx, slopes, 1e-9, 3e-7, "mean_squared_error_grad");
  }
}

TEST(Labels, OutsideTheClassesAreNamed) {
  const std::vector<std::int64_t> labels = {0, kIgnoredLabel, 9, 10};
  EXPECT_NO_THROW(check_labels(labels.data(), 3, 10));
  try {
    check_labels(labels.data(), 4, 10);
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("label 10 in row 3 is outside [0, 10)"), std::string::npos);
  }
}

DML_INSTANTIATE_ISA(Loss);

}  // namespace
}  // namespace dml
