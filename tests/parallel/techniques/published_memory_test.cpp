// The memory rows of tests/data/hardware/hardware_runs.json, which names its sources.
#include "parallel/techniques/published_memory.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace dml {
namespace {

constexpr double kGibibyte = 1 << 30;

nlohmann::json memory_rows() {
  std::ifstream file(DML_TEST_DATA "/hardware/hardware_runs.json");
  const nlohmann::json all = nlohmann::json::parse(file);
  nlohmann::json rows;
  for (const auto& row : all["rows"])
    if (row["id"].get<std::string>().ends_with("-memory")) rows.push_back(row);
  return rows;
}

TransformerRun run_of(const nlohmann::json& row) {
  return {.sequence = row["seq"],
          .microbatch = row["microbatch"],
          .hidden = row["hidden"],
          .heads = row["heads"],
          .layers = row["layers"],
          .t = row["tensor"],
          .p = row["pipeline"],
          .chunks = row["chunks"],
          .microbatches = row["microbatches"]};
}

double published(const nlohmann::json& row, const std::string& quantity) {
  for (const auto& measured : row["measured"])
    if (measured["quantity"] == quantity) return measured["value"];
  ADD_FAILURE() << row["id"] << " has no " << quantity;
  return 0;
}

TEST(PublishedMemory, IsThatOfTheRowsInGibibytes) {
  const nlohmann::json rows = memory_rows();
  ASSERT_FALSE(rows.empty());
  for (const nlohmann::json& row : rows) {
    const TransformerRun run = run_of(row);
    const Techniques parts{.recompute = Recompute::attention, .sequence_parallel = true};
    EXPECT_DOUBLE_EQ(published_activation_bytes(run, {}) / kGibibyte,
                     published(row, "activations_tensor_parallel_only"));
    EXPECT_DOUBLE_EQ(published_activation_bytes(run, parts) / kGibibyte,
                     published(row, "activations_sequence_parallel_selective"));
    EXPECT_DOUBLE_EQ(published_weight_bytes(run) / kGibibyte, published(row, "parameters_and_optimizer"));
  }
}

// Read off a figure: to 0.15 points.
TEST(PublishedMemory, IsThatOfTheRowsInPercent) {
  for (const nlohmann::json& row : memory_rows()) {
    const TransformerRun run = run_of(row);
    const auto expect = [&](const Techniques& techniques, const std::string& name) {
      const double relative = published_activation_bytes(run, techniques) / published_activation_bytes(run, {});
      EXPECT_NEAR(100 * relative, published(row, "activations_relative_" + name), 0.15) << row["id"];
    };
    expect({.sequence_parallel = true}, "sequence_parallel");
    expect({.recompute = Recompute::attention}, "selective");
    expect({.recompute = Recompute::attention, .sequence_parallel = true}, "sequence_parallel_selective");
    expect({.recompute = Recompute::full}, "full");
  }
}

}  // namespace
}  // namespace dml
