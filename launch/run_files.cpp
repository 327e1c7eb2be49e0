#include "launch/run_files.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "launch/options/command_line.h"

namespace dml {
namespace {

constexpr std::size_t kWarmUpSteps = 2;

void read_steps(const std::string& path, RunFiles& run) {
  std::ifstream file(path);
  if (!file) throw UsageError(fmt::format("'{}' cannot be read: is this the folder of a run?", path));
  std::size_t number = 0;
  for (std::string line; std::getline(file, line); ++number) {
    try {
      const auto json = nlohmann::json::parse(line);
      const auto seconds = [&](const char* key) { return json.at(key).get<double>() / 1e3; };
      if (number >= kWarmUpSteps) run.step_seconds.push_back(seconds("step_ms"));
      run.parts = {seconds("step_ms"), seconds("compute_ms"), seconds("core_wait_ms"), seconds("exposed_comm_ms"),
                   seconds("bubble_ms")};
    } catch (const nlohmann::json::exception& error) {
      throw UsageError(fmt::format("'{}' line {}: {}", path, number + 1, error.what()));
    }
  }
}

}  // namespace

RunFiles read_run(const std::string& folder) {
  namespace fs = std::filesystem;
  const auto file = [&](const char* name) { return (fs::path(folder) / name).string(); };
  if (!fs::is_directory(folder)) throw UsageError(fmt::format("'{}' is no folder of a run", folder));
  RunFiles run;
  run.folder = folder;
  run.config = parse_command_line(std::vector<std::string>{"--config", file("config.toml")}, {}).config;
  run.timeline = read_timeline(file("measured.json"));
  read_steps(file("steps.jsonl"), run);
  return run;
}

}  // namespace dml
