// The memory that the literature states for a transformer as Megatron-LM trains it: attention spelled out in separate
// operations, dropout in three places, values of two bytes. Our own graphs keep other tensors: what they keep is
// planned from their lifetimes (plan/stage_price.h). Here the memory rows of tests/data/hardware/hardware_runs.json,
// which names its sources, are held against the formulas of their papers. s sequence, b microbatch, h hidden, a heads,
// as there.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "parallel/techniques/techniques.h"

namespace dml {
namespace {

constexpr double kGibibyte = 1 << 30;

struct TransformerRun {
  std::int64_t sequence = 0;    ///< tokens
  std::int64_t microbatch = 0;  ///< sequences
  std::int64_t hidden = 0, heads = 0, layers = 0;
  int t = 1, p = 1;
  int chunks = 1;  ///< stages per pipeline position; above 1 the schedule is interleaved
  int microbatches = 1;
};

double layer_bytes(const TransformerRun& run, const Techniques& techniques) {
  const auto h = static_cast<double>(run.hidden);
  const auto s = static_cast<double>(run.sequence);
  const double sbh = s * static_cast<double>(run.microbatch) * h;
  const double spread = techniques.sequence_parallel ? run.t : 1;  // what only sequence parallelism divides
  if (techniques.recompute == Recompute::full) return 2 * sbh / spread;
  const double scores = techniques.recompute == Recompute::none ? 5 * static_cast<double>(run.heads) * s / h : 0;
  return sbh * (10 / spread + (24 + scores) / run.t);
}

/// Microbatches whose activations the first position keeps, in whole passes over all its layers.
double microbatches_kept(const TransformerRun& run) {
  const double kept = std::min(run.p, run.microbatches);
  return run.chunks > 1 ? kept * (1 + (run.p - 1.0) / (1.0 * run.p * run.chunks)) : kept;
}

/// Bytes of activations on the first pipeline position, of its layers alone: Korthikanti et al. 2022 ("Reducing
/// Activation Recomputation in Large Transformer Models"), equations 1 to 4 and section 4.2.3, and table 2; a layer's
/// input alone for full recomputation, which sequence parallelism divides too.
double published_activation_bytes(const TransformerRun& run, const Techniques& techniques) {
  const double layers = static_cast<double>(run.layers) / run.p;
  return layer_bytes(run, techniques) * layers * microbatches_kept(run);
}

/// Bytes of parameters, gradients and Adam's states of the layers (12 h² parameters each): weights of 2 bytes, and
/// gradients, master weights and two moments of 4.
double published_weight_bytes(const TransformerRun& run) {
  constexpr double kParametersOfLayer = 12;
  constexpr int kAdamStates = 2;
  const auto h = static_cast<double>(run.hidden);
  const double elems = kParametersOfLayer * h * h * static_cast<double>(run.layers) / run.t / run.p;
  return weight_bytes({.dtype = DataType::bf16}, elems, 1, kAdamStates).total();
}

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
