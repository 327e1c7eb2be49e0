#include "launch/report/timeline_file.h"

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "kernels/error.h"

namespace dml {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kVersion = 1;
constexpr double kMicroseconds = 1e6;
constexpr int kMostRanks = 1 << 20;

Json json_of(const RankTasks& rank, std::span<const Span> spans) {
  Json ids = Json::array(), starts = Json::array(), ends = Json::array();
  for (const Span& span : spans) {
    ids.push_back(rank.tasks[static_cast<std::size_t>(span.task)].id.to_string());
    starts.push_back(span.start * kMicroseconds);
    ends.push_back(span.end * kMicroseconds);
  }
  return {{"rank", rank.rank}, {"tasks", ids}, {"start_us", starts}, {"end_us", ends}};
}

std::vector<MeasuredTask> tasks_of(const Json& rank) {
  const Json &ids = rank.at("tasks"), &starts = rank.at("start_us"), &ends = rank.at("end_us");
  if (starts.size() != ids.size() || ends.size() != ids.size())
    throw ModelError(fmt::format("{} tasks, {} starts and {} ends", ids.size(), starts.size(), ends.size()));
  std::vector<MeasuredTask> tasks;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    tasks.push_back({ids.at(i).get<std::string>(), starts.at(i).get<double>() / kMicroseconds,
                     ends.at(i).get<double>() / kMicroseconds});
  }
  return tasks;
}

TimelineFile parse(const Json& json) {
  if (json.at("version") != kVersion)
    throw ModelError(fmt::format("version {} is not {}", json.at("version").dump(), kVersion));
  TimelineFile file;
  file.place = {json.at("threads_per_rank").get<int>(), json.at("usable_cores").get<int>(),
                json.at("ranks_per_host").get<int>()};
  if (file.place.threads_per_rank < 1 || file.place.usable_cores < 1 || file.place.ranks_per_host < 1)
    throw ModelError("threads, cores or ranks below 1");
  for (const Json& rank : json.at("ranks")) {
    const auto number = rank.at("rank").get<std::int64_t>();
    if (number < 0 || number >= kMostRanks) throw ModelError(fmt::format("rank {}", number));
    if (number >= static_cast<std::int64_t>(file.step.size())) file.step.resize(static_cast<std::size_t>(number) + 1);
    file.step[static_cast<std::size_t>(number)] = tasks_of(rank);
  }
  return file;
}

}  // namespace

std::string timeline_text(std::span<const RankTasks> ranks, const Timeline& timeline, const RunPlace& place) {
  Json json{{"version", kVersion},
            {"measured", timeline.measured},
            {"threads_per_rank", place.threads_per_rank},
            {"usable_cores", place.usable_cores},
            {"ranks_per_host", place.ranks_per_host},
            {"ranks", Json::array()}};
  std::size_t next = 0;
  for (const RankTasks& rank : ranks) {
    std::size_t end = next;
    while (end < timeline.spans.size() && timeline.spans[end].rank == rank.rank) ++end;
    json["ranks"].push_back(json_of(rank, std::span(timeline.spans).subspan(next, end - next)));
    next = end;
  }
  return json.dump() + "\n";
}

TimelineFile read_timeline(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw IoError(fmt::format("'{}' cannot be read", path));
  try {
    return parse(Json::parse(file));
  } catch (const nlohmann::json::exception& error) {
    throw IoError(fmt::format("'{}' is no timeline of a run: {}", path, error.what()));
  } catch (const ModelError& error) {
    throw IoError(fmt::format("'{}' is no timeline of a run: {}", path, error.what()));
  }
}

}  // namespace dml
