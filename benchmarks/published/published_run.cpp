#include "benchmarks/published/published_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

namespace dml::published {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kMegatronBucketBytes = 40'000'000 * 4;  // its default: 40 million elements
constexpr std::int64_t kOneBucket = std::numeric_limits<std::int64_t>::max() / 2;

std::string model_of(std::int64_t layers, std::int64_t hidden, std::int64_t heads, std::int64_t seq, std::int64_t vocab,
                     bool tied) {
  return fmt::format("gpt:layers={},width={},heads={},seq={},vocab={},dropout={},tied={}", layers, hidden, heads, seq,
                     vocab, tied ? "0.1" : "0", tied ? 1 : 0);
}

double measured(const Json& row, const std::string& quantity) {
  for (const Json& entry : row["measured"])
    if (entry["quantity"] == quantity) return entry["value"];
  return 0;
}

/// What a row says, or what was taken where it says nothing.
template <typename Value>
Value known(Run& run, const Json& row, const std::string& key, const Value& otherwise, const std::string& text) {
  if (!row[key].is_null()) return row[key].get<Value>();
  run.chosen += (run.chosen.empty() ? "" : ", ") + text;
  return otherwise;
}

Recompute recompute_of(const std::string& name) {
  if (name == "full") return Recompute::full;
  return name == "selective" ? Recompute::attention : Recompute::none;
}

double seconds_of(const Json& row) {
  const double seconds = measured(row, "iteration_time");
  return seconds > 0 ? seconds : (measured(row, "iteration_time_low") + measured(row, "iteration_time_high")) / 2;
}

Run run_of(const Json& row) {
  Run run;
  run.id = row["id"];
  run.layers = row["layers"];
  const bool is_a100 = row["gpu"].get<std::string>().starts_with("A100");
  run.hardware = is_a100 ? "a100-80g" : "h100-sxm";
  run.fused_attention = !is_a100;  // of 2024 against 2021 and 2022
  run.model = model_of(run.layers, row["hidden"], row["heads"], row["seq"], row["vocab"], is_a100);
  run.batch = row["global_batch"];
  run.bucket_bytes = is_a100 ? kOneBucket : kMegatronBucketBytes;
  LayoutChoice& layout = run.layout;
  layout.d = row["data"];
  layout.p = row["pipeline"];
  layout.t = row["tensor"];
  layout.chunks = layout.p > 1 ? known(run, row, "chunks", 2, "2 chunks") : 1;
  layout.schedule = &find_schedule(layout.chunks > 1 ? "interleaved" : "1f1b");
  const auto microbatch = known<std::int64_t>(run, row, "microbatch", 1, "microbatches of 1");
  layout.microbatches = static_cast<int>(run.batch / layout.d / microbatch);
  Techniques& techniques = layout.techniques;
  techniques.dtype = DataType::bf16;
  techniques.recompute = recompute_of(known<std::string>(run, row, "recompute", "none", "no recomputation"));
  techniques.sequence_parallel = known(run, row, "sequence_parallel", true, "sequence parallel");
  const auto sharded = known<std::string>(run, row, "sharded", "optimizer", "ZeRO 1");
  techniques.zero = sharded == "none" ? 0 : 1;
  run.seconds = seconds_of(row);
  run.flops_per_second = measured(row, "achieved_tflops_per_gpu") * 1e12;
  return run;
}

}  // namespace

std::vector<Run> read_runs(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(fmt::format("{} cannot be read", path));
  const Json all = Json::parse(file);
  std::vector<Run> runs;
  for (const Json& row : all["rows"])
    if (!row["id"].get<std::string>().ends_with("-memory")) runs.push_back(run_of(row));
  return runs;
}

std::vector<Run> read_vtrain(const std::string& path) {
  constexpr std::int64_t kVocabulary = 50257;  // of the authors' simulator; the rows do not say
  constexpr double kMilli = 1e-3;
  std::ifstream file(path);
  if (!file) throw std::runtime_error(fmt::format("{} cannot be read", path));
  std::vector<Run> runs;
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::replace(line.begin(), line.end(), ',', ' ');
    std::istringstream words(line);
    std::int64_t row = 0, gpus = 0, microbatch = 0, hidden = 0, heads = 0, seq = 0;
    Run run;
    LayoutChoice& layout = run.layout;
    words >> row >> gpus >> run.batch >> microbatch >> hidden >> heads >> run.layers >> seq >> layout.t >> layout.d >>
        layout.p >> run.seconds;
    if (!words) throw std::runtime_error(fmt::format("{}: '{}' is no row", path, line));
    run.seconds *= kMilli;
    run.id = fmt::format("vtrain-{}", row);
    run.model = model_of(run.layers, hidden, heads, seq, kVocabulary, true);
    run.hardware = "a100-80g";
    run.bucket_bytes = kOneBucket;
    layout.schedule = &find_schedule("1f1b");
    layout.microbatches = static_cast<int>(run.batch / layout.d / microbatch);
    layout.techniques = {.recompute = Recompute::full, .dtype = DataType::bf16};
    runs.push_back(run);
  }
  return runs;
}

}  // namespace dml::published
