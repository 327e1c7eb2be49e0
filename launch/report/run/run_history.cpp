#include "launch/report/run/run_history.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "launch/terminal/number_text.h"

namespace dml {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostPoints = 1000;
constexpr std::size_t kFewestPoints = 50;
constexpr std::size_t kMostRankPoints = 50'000;  ///< of all ranks together
constexpr double kMiB = 1 << 20;
constexpr int kDigits = 5;

constexpr std::array<const char*, 12> kStepColumns = {"step",      "loss",       "grad_norm",    "lr",
                                                      "step_ms",   "compute_ms", "core_wait_ms", "exposed_comm_ms",
                                                      "bubble_ms", "other_ms",   "rate",         "flops_per_s"};

std::array<double, kStepColumns.size()> row_of(const StepRecord& record) {
  const Breakdown& mean = record.mean;
  return {static_cast<double>(record.step + 1),
          record.loss,
          record.grad_norm,
          record.learning_rate,
          mean.step * kMsPerSecond,
          mean.compute * kMsPerSecond,
          mean.core_wait * kMsPerSecond,
          mean.exposed_comm * kMsPerSecond,
          mean.bubble * kMsPerSecond,
          mean.other * kMsPerSecond,
          record.tokens_per_s > 0 ? record.tokens_per_s : record.samples_per_s,
          record.flops_per_s};
}

/// As many digits as a picture shows; null where it is no number.
Json rounded(const std::vector<double>& numbers) {
  Json json = Json::array();
  for (const double number : numbers) {
    if (!std::isfinite(number)) {
      json.push_back(nullptr);
    } else if (number == 0) {
      json.push_back(0);
    } else {
      const double unit = std::pow(10.0, kDigits - 1 - std::floor(std::log10(std::abs(number))));
      const double shown = std::round(number * unit) / unit;
      if (shown == std::round(shown) && std::abs(shown) < 1e15) {
        json.push_back(static_cast<std::int64_t>(shown));
      } else {
        json.push_back(shown);
      }
    }
  }
  return json;
}

std::size_t points_per_rank(std::size_t num_ranks) {
  const std::size_t share = kMostRankPoints / std::max<std::size_t>(num_ranks, 1) / 2 * 2;
  return std::clamp(share, kFewestPoints, kMostPoints);
}

}  // namespace

void MeanRows::merge_neighbours() {
  for (std::size_t i = 0; i < sums_.size() / 2; ++i) {
    std::vector<double> sum = std::move(sums_[2 * i]);
    for (std::size_t column = 0; column < sum.size(); ++column) sum[column] += sums_[2 * i + 1][column];
    sums_[i] = std::move(sum);
  }
  sums_.resize(sums_.size() / 2);
  per_mean_ *= 2;
  count_in_last_ = per_mean_;
}

void MeanRows::add(std::span<const double> row) {
  if (sums_.size() == most_ && count_in_last_ == per_mean_) merge_neighbours();
  if (sums_.empty() || count_in_last_ == per_mean_) {
    sums_.emplace_back(row.size(), 0.0);
    count_in_last_ = 0;
  }
  for (std::size_t column = 0; column < row.size(); ++column) sums_.back()[column] += row[column];
  ++count_in_last_;
}

std::vector<double> MeanRows::column(std::size_t column) const {
  std::vector<double> numbers;
  for (std::size_t row = 0; row < sums_.size(); ++row)
    numbers.push_back(sums_[row][column] / static_cast<double>(count(row)));
  return numbers;
}

RunHistory::RunHistory(std::size_t num_ranks)
    : steps_(kMostPoints),
      use_(points_per_rank(num_ranks)),
      validation_(kMostPoints),
      accuracy_(kMostPoints),
      num_ranks_(num_ranks) {}

void RunHistory::add(const StepRecord& record, std::span<const RankStep> ranks) {
  const auto row = row_of(record);
  counts_tokens_ = record.tokens_per_s > 0;
  steps_.add(row);
  if (record.validation_loss) validation_.add(std::array{row[0], *record.validation_loss});
  if (record.accuracy) accuracy_.add(std::array{row[0], *record.accuracy});
  std::vector<double> use(1 + 2 * num_ranks_);
  use[0] = row[0];
  for (const RankStep& rank : ranks) {
    const std::size_t place = 1 + 2 * static_cast<std::size_t>(rank.rank);
    use.at(place) = static_cast<double>(rank.resident_bytes) / kMiB;
    use.at(place + 1) = rank.cpu_percent;
  }
  use_.add(use);
}

std::string RunHistory::json() const {
  Json json{{"steps_per_point", steps_.rows_per_mean()},
            {"counts", counts_tokens_ ? "tokens" : "samples"},
            {"steps", Json::object()}};
  for (std::size_t i = 0; i < kStepColumns.size(); ++i) json["steps"][kStepColumns[i]] = rounded(steps_.column(i));
  const auto pairs = [](const MeanRows& rows) {
    return Json{{"step", rounded(rows.column(0))}, {"value", rounded(rows.column(1))}};
  };
  if (validation_.size() > 0) json["validation"] = pairs(validation_);
  if (accuracy_.size() > 0) json["accuracy"] = pairs(accuracy_);
  json["use"] = {{"step", rounded(use_.column(0))}, {"memory_mib", Json::array()}, {"cpu_percent", Json::array()}};
  for (std::size_t rank = 0; rank < num_ranks_; ++rank) {
    json["use"]["memory_mib"].push_back(rounded(use_.column(1 + 2 * rank)));
    json["use"]["cpu_percent"].push_back(rounded(use_.column(2 + 2 * rank)));
  }
  return json.dump();
}

}  // namespace dml
