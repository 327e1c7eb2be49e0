#include "launch/trace/rank_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "kernels/error.h"
#include "launch/trace/chrome_passes.h"
#include "launch/trace/megatron_passes.h"

namespace dml {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kMostBytes = std::uintmax_t{2} << 30;

std::vector<fs::path> files_of(const std::string& path) {
  if (!fs::is_directory(path)) return {path};
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(path)) {
    if (entry.is_regular_file() && entry.path().extension() == ".json") files.push_back(entry.path());
  }
  if (files.empty()) throw IoError(fmt::format("--trace {}: the folder holds no .json file", path));
  std::sort(files.begin(), files.end());
  return files;
}

nlohmann::json parsed_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw IoError("cannot be read");
  if (fs::file_size(path) > kMostBytes)
    throw IoError(fmt::format("has {} bytes, more than {} are not read", fs::file_size(path), kMostBytes));
  if (file.peek() == 0x1f) throw IoError("is compressed: unpack it by gunzip");
  return nlohmann::json::parse(file);
}

std::vector<RankTrace> read_file(const fs::path& path) {
  const std::string name = path.filename().string();
  try {
    const nlohmann::json json = parsed_file(path);
    std::vector<RankTrace> traces =
        is_megatron_file(name) ? std::vector{megatron_trace(json, name)} : chrome_traces(json, name);
    for (RankTrace& trace : traces) trace.file = path.string();
    return traces;
  } catch (const nlohmann::json::exception& error) {
    throw IoError(fmt::format("--trace {}: no trace that can be read: {}", path.string(), error.what()));
  } catch (const fs::filesystem_error& error) {
    throw IoError(fmt::format("--trace {}: {}", path.string(), error.code().message()));
  } catch (const IoError& error) {
    throw IoError(fmt::format("--trace {}: {}", path.string(), error.what()));
  }
}

/// -1 where nothing says.
int position_of(const RankTrace& trace, const Mesh& mesh, const Placement& placement) {
  if (trace.position >= 0) return trace.position;
  if (trace.rank >= 0) return mesh.coordinate(trace.rank).p;
  const std::optional<int> stage = trace.passes.front().name.stage;
  return stage && *stage < placement.num_stages() ? placement.position(*stage) : -1;
}

/// One trace for each position, that of its lowest rank.
std::map<int, const RankTrace*> by_position(std::span<const RankTrace> traces, const Mesh& mesh,
                                            const Placement& placement) {
  std::map<int, const RankTrace*> chosen;
  for (const RankTrace& trace : traces) {
    if (trace.rank >= mesh.world_size()) {
      throw std::invalid_argument(
          fmt::format("'{}' is of rank {}; the layout has {} ranks", trace.file, trace.rank, mesh.world_size()));
    }
    const int position = position_of(trace, mesh, placement);
    if (position < 0) {
      throw std::invalid_argument(
          fmt::format("'{}' does not say its rank, nor its passes their stages: name it rank_R.json", trace.file));
    }
    if (position >= placement.num_positions()) {
      throw std::invalid_argument(fmt::format("'{}' is of pipeline position {}; the schedule has {} positions",
                                              trace.file, position, placement.num_positions()));
    }
    const RankTrace*& place = chosen[position];
    if (place == nullptr || trace.rank < place->rank) place = &trace;
  }
  for (int position = 0; position < placement.num_positions(); ++position) {
    if (!chosen.contains(position)) {
      throw std::invalid_argument(
          fmt::format("there is no trace of pipeline position {} of {}", position, placement.num_positions()));
    }
  }
  return chosen;
}

Action action_of(const PassName& name, int position, const Placement& placement) {
  const std::span<const int> stages = placement.stages(position);
  if (!name.stage && !name.chunk && stages.size() > 1) {
    throw std::invalid_argument(
        fmt::format("passes at position {} name no stage, and there are {}", position, stages.size()));
  }
  const auto chunk = static_cast<std::size_t>(name.chunk.value_or(0));
  if (!name.stage && chunk >= stages.size()) {
    throw std::invalid_argument(
        fmt::format("a pass at position {} is of chunk {}, and there are {}", position, chunk, stages.size()));
  }
  return {.phase = name.phase, .stage = name.stage ? *name.stage : stages[chunk], .microbatch = name.microbatch};
}

using PassesByName = std::map<PassName, std::vector<TracedPass>>;

PassesByName by_name(const RankTrace& trace) {
  PassesByName passes;
  for (const TracedPass& pass : trace.passes) passes[pass.name].push_back(pass);
  return passes;
}

}  // namespace

std::vector<RankTrace> read_traces(std::span<const std::string> paths) {
  std::vector<RankTrace> traces;
  for (const std::string& path : paths) {
    for (const fs::path& file : files_of(path)) std::ranges::move(read_file(file), std::back_inserter(traces));
  }
  std::erase_if(traces, [](const RankTrace& trace) { return trace.passes.empty(); });
  if (traces.empty()) {
    throw IoError(
        fmt::format("--trace {}: no event names a pass, such as 0F3, 'Forward 3' or forward-3-start", paths.front()));
  }
  return traces;
}

std::vector<TimedAction> passes_of_step(std::span<const RankTrace> traces, const Mesh& mesh,
                                        const Placement& placement) {
  std::map<int, PassesByName> found;
  std::size_t steps = std::numeric_limits<std::size_t>::max();
  int first_microbatch = std::numeric_limits<int>::max();
  for (const auto& [position, trace] : by_position(traces, mesh, placement)) {
    for (const auto& [name, passes] : found[position] = by_name(*trace)) {
      steps = std::min(steps, passes.size());
      first_microbatch = std::min(first_microbatch, name.microbatch);
    }
  }
  std::vector<TimedAction> step;
  for (const auto& [position, names] : found) {
    for (const auto& [name, passes] : names) {
      Action action = action_of(name, position, placement);
      action.microbatch -= first_microbatch == 1 ? 1 : 0;  // some programs count from 1
      const TracedPass& pass = passes[steps - 1];
      step.push_back({action, position, pass.start, pass.end});
    }
  }
  return step;
}

}  // namespace dml
