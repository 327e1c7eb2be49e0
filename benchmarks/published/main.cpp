// Prints the predicted and the measured seconds of published training runs as CSV; report.py reads it.
#include <fmt/format.h>

#include <exception>
#include <span>
#include <string_view>

#include "benchmarks/published/predictor.h"
#include "launch/hardware_file.h"

namespace dml::published {
namespace {

constexpr double kGigabyte = 1e9;

struct Options {
  std::string rows;
  std::map<std::string, Hardware> machines;
  std::size_t part = 0, parts = 1;  ///< every parts-th row, from this one on
};

/// ROWS.csv|ROWS.json [--machine PRESET=FILE.toml]... [--part I/N]
Options parsed(std::span<const char* const> words) {
  if (words.empty()) throw std::invalid_argument("give vtrain_a100_calibration.csv or hardware_runs.json");
  Options options{.rows = words[0], .machines = {}};
  for (std::size_t i = 1; i + 1 < words.size(); i += 2) {
    const std::string option = words[i];
    const std::string value = words[i + 1];
    const std::size_t sign = value.find(option == "--part" ? '/' : '=');
    if (sign == std::string::npos) throw std::invalid_argument(option + " " + value + ": wants two values");
    if (option == "--part") {
      options.part = std::stoul(value.substr(0, sign));
      options.parts = std::stoul(value.substr(sign + 1));
    } else {
      options.machines[value.substr(0, sign)] = find_hardware(value.substr(sign + 1));
    }
  }
  return options;
}

void print_prediction(Predictor& predictor, const Run& run) {
  const StepEstimate step = predictor.estimate(run);
  const StepParts& parts = step.parts;
  fmt::print("{},\"{}\",{:.6g},{:.6g},{},{},{:.4g},{:.4g},{:.4g},{:.4g},\"{}\"\n", run.id, run.model, step.seconds,
             run.seconds, run.batch, run.layout.d * run.layout.p * run.layout.t, run.flops_per_second,
             parts.compute / step.seconds, parts.exposed_comm / step.seconds, step.memory.total() / kGigabyte,
             run.chosen);
}

void run(const Options& options) {
  const bool is_vtrain = options.rows.ends_with(".csv");
  const std::vector<Run> runs = is_vtrain ? read_vtrain(options.rows) : read_runs(options.rows);
  Predictor predictor(options.machines);
  fmt::print("id,model,predicted_s,measured_s,batch,gpus,flops_per_s,compute,exposed,memory_gb,chosen\n");
  for (std::size_t i = options.part; i < runs.size(); i += options.parts) print_prediction(predictor, runs[i]);
}

}  // namespace
}  // namespace dml::published

int main(int argc, char** argv) {
  try {
    const std::vector<const char*> words(argv + 1, argv + argc);
    dml::published::run(dml::published::parsed(words));
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "dml_bench_published: {}\n", error.what());
    return 2;
  }
}
