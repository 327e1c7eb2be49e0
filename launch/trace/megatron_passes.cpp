#include "launch/trace/megatron_passes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "kernels/error.h"
#include "launch/trace/rank_in_name.h"

namespace dml {
namespace {

using Json = nlohmann::json;

constexpr double kMilliseconds = 1e3;
constexpr std::string_view kStart = "-start", kEnd = "-end";

std::vector<double> times_of(const Json& json, const std::string& key) {
  const Json& value = json.at(key);
  std::vector<double> times = value.is_array() ? value.get<std::vector<double>>() : std::vector{value.get<double>()};
  if (!std::all_of(times.begin(), times.end(), [](double time) { return std::isfinite(time); }))
    throw IoError(fmt::format("'{}' is no time", key));
  return times;
}

void add_passes(const Json& json, const std::string& key, RankTrace& trace) {
  const std::string timer = key.substr(0, key.size() - kStart.size());
  const std::optional<PassName> name = parse_pass_name(timer);
  if (!name) return;
  const std::string end_key = timer + std::string(kEnd);
  if (!json.contains(end_key)) throw IoError(fmt::format("'{}' has no '{}'", key, end_key));
  const std::vector<double> starts = times_of(json, key), ends = times_of(json, end_key);
  if (starts.size() != ends.size())
    throw IoError(fmt::format("'{}' has {} values, '{}' has {}", key, starts.size(), end_key, ends.size()));
  for (std::size_t i = 0; i < starts.size(); ++i) {
    if (ends[i] < starts[i]) throw IoError(fmt::format("'{}' {} is after its end {}", key, starts[i], ends[i]));
    trace.passes.push_back({*name, starts[i] / kMilliseconds, ends[i] / kMilliseconds});
  }
}

}  // namespace

bool is_megatron_file(const std::string& name) { return name.starts_with("event_times"); }

RankTrace megatron_trace(const Json& json, const std::string& name) {
  RankTrace trace;
  trace.position = number_after(name, "_pp_rank_").value_or(-1);
  trace.rank = number_after(name, "_rank_").value_or(-1);
  for (const auto& [key, value] : json.get_ref<const Json::object_t&>()) {
    if (key.ends_with(kStart)) add_passes(json, key, trace);
  }
  return trace;
}

}  // namespace dml
