#include "launch/report/run/step_chart.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

namespace dml {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kUnitSeconds = 1e-7;
constexpr double kMicroseconds = 1e6;

/// Seconds; none where start is negative. `processor` is -1 where unknown.
struct Interval {
  double start = -1, end = -1, processor = -1;
  bool ran() const { return start >= 0; }
  double length() const { return end - start; }
};

std::int64_t units(double seconds) { return std::llround(seconds / kUnitSeconds); }

/// What is the same of a task on all ranks of a program.
struct ProgramTask {
  Phase phase = Phase::forward;
  TaskKind kind = TaskKind::compute;
  QueueId queue = QueueId::compute;
  Axis axis = Axis::tensor;
  std::int32_t operation = 0, microbatch = 0;
  int stage = 0;
  int peer_offset = 0;  ///< of transfers: the peer's rank less its own
  std::int64_t bytes = 0;
  double flops = 0;
  int name = 0;
  friend bool operator==(const ProgramTask&, const ProgramTask&) = default;
};

struct ChartProgram {
  std::vector<ProgramTask> tasks;
  std::vector<std::size_t> ranks;   ///< places in the list of ranks
  std::vector<double> longest;      ///< of each task, over ranks and sides; -1 where it ran nowhere
  std::vector<std::size_t> chosen;  ///< the tasks that are drawn, ascending
};

class Chart {
 public:
  Chart(std::span<const RankTasks> ranks, std::span<const ChartSide> sides, const Mesh& mesh,
        const TaskName& name_of_task)
      : ranks_(ranks), sides_(sides), mesh_(mesh), name_of_task_(name_of_task) {
    for (const ChartSide& side : sides) intervals_.push_back(intervals_of(*side.timeline));
    for (std::size_t place = 0; place < ranks.size(); ++place) add_to_program(place);
    for (ChartProgram& program : programs_) find_longest(program);
  }

  /// Chooses the longest tasks, `most_spans` spans of them.
  void choose(std::size_t most_spans);
  std::string json() const;

 private:
  using Intervals = std::vector<std::vector<Interval>>;  ///< by place of the rank, then by task

  Intervals intervals_of(const Timeline& timeline) const;
  ProgramTask program_task(const RankTasks& rank, const Task& task);
  void add_to_program(std::size_t place);
  void find_longest(ChartProgram& program) const;
  Json program_json(const ChartProgram& program) const;
  Json rank_json(std::size_t place) const;
  static Json times_json(const std::vector<Interval>& intervals, const ChartProgram& program);
  Json side_json(std::size_t side) const;
  std::size_t program_of(std::size_t place) const { return program_of_[place]; }

  std::span<const RankTasks> ranks_;
  std::span<const ChartSide> sides_;
  const Mesh& mesh_;
  const TaskName& name_of_task_;
  std::vector<Intervals> intervals_;  ///< by side
  std::map<std::string, int> name_numbers_;
  std::vector<std::string> names_;
  std::vector<ChartProgram> programs_;
  std::vector<std::size_t> program_of_;
  std::size_t num_left_out_ = 0;
  double longest_left_out_ = 0;
};

Chart::Intervals Chart::intervals_of(const Timeline& timeline) const {
  Intervals intervals;
  std::map<int, std::size_t> place_of;
  for (const RankTasks& rank : ranks_) {
    place_of[rank.rank] = intervals.size();
    intervals.emplace_back(rank.tasks.size());
  }
  for (const Span& span : timeline.spans) {
    const auto place = place_of.find(span.rank);
    if (place == place_of.end()) continue;
    intervals[place->second].at(static_cast<std::size_t>(span.task)) = {span.start, span.end, span.processor};
  }
  return intervals;
}

ProgramTask Chart::program_task(const RankTasks& rank, const Task& task) {
  const auto [name, is_new] = name_numbers_.try_emplace(name_of_task_(rank, task), static_cast<int>(names_.size()));
  if (is_new) names_.push_back(name->first);
  const bool moves = task.kind == TaskKind::send || task.kind == TaskKind::receive;
  return {.phase = task.id.phase,
          .kind = task.kind,
          .queue = task.queue,
          .axis = task.axis,
          .operation = task.id.operation,
          .microbatch = task.id.microbatch,
          .stage = task.id.stage,
          .peer_offset = moves ? task.peer - rank.rank : 0,
          .bytes = rank.work_of(task).bytes,
          .flops = rank.work_of(task).flops,
          .name = name->second};
}

void Chart::add_to_program(std::size_t place) {
  const RankTasks& rank = ranks_[place];
  std::vector<ProgramTask> tasks;
  tasks.reserve(rank.tasks.size());
  for (const Task& task : rank.tasks) tasks.push_back(program_task(rank, task));
  const auto same = std::find_if(programs_.begin(), programs_.end(),
                                 [&](const ChartProgram& program) { return program.tasks == tasks; });
  program_of_.push_back(static_cast<std::size_t>(same - programs_.begin()));
  if (same == programs_.end())
    programs_.push_back({.tasks = std::move(tasks), .ranks = {}, .longest = {}, .chosen = {}});
  programs_[program_of_.back()].ranks.push_back(place);
}

void Chart::find_longest(ChartProgram& program) const {
  program.longest.assign(program.tasks.size(), -1);
  for (const Intervals& side : intervals_) {
    for (const std::size_t place : program.ranks) {
      for (std::size_t task = 0; task < program.tasks.size(); ++task) {
        const Interval& interval = side[place][task];
        if (interval.ran()) program.longest[task] = std::max(program.longest[task], interval.length());
      }
    }
  }
}

void Chart::choose(std::size_t most_spans) {
  struct Candidate {
    ChartProgram* program = nullptr;
    std::size_t task = 0;
    double longest() const { return program->longest[task]; }
  };
  std::vector<Candidate> candidates;
  for (ChartProgram& program : programs_) {
    for (std::size_t task = 0; task < program.tasks.size(); ++task) {
      if (program.longest[task] >= 0) candidates.push_back({&program, task});
    }
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.longest() > b.longest(); });
  std::size_t num_spans = 0;
  for (const Candidate& candidate : candidates) {
    num_spans += candidate.program->ranks.size() * sides_.size();
    if (num_spans <= most_spans) {
      candidate.program->chosen.push_back(candidate.task);
    } else {
      num_left_out_ += candidate.program->ranks.size();
      longest_left_out_ = std::max(longest_left_out_, candidate.longest());
    }
  }
  for (ChartProgram& program : programs_) std::sort(program.chosen.begin(), program.chosen.end());
}

Json Chart::program_json(const ChartProgram& program) const {
  std::string phases, axes;
  Json json;
  for (const char* column : {"kind", "queue", "operation", "microbatch", "stage", "name", "peer", "bytes", "flops"})
    json[column] = Json::array();
  for (const std::size_t i : program.chosen) {
    const ProgramTask& task = program.tasks[i];
    phases += letter_of(task.phase);
    axes += letter_of(task.axis);
    json["kind"].push_back(static_cast<int>(task.kind));
    json["queue"].push_back(static_cast<int>(task.queue));
    json["operation"].push_back(task.operation);
    json["microbatch"].push_back(task.microbatch);
    json["stage"].push_back(task.stage);
    json["name"].push_back(task.name);
    json["peer"].push_back(task.peer_offset);
    json["bytes"].push_back(task.bytes);
    json["flops"].push_back(std::llround(task.flops));
  }
  json["phase"] = phases;
  json["axis"] = axes;
  return json;
}

Json Chart::rank_json(std::size_t place) const {
  const int rank = ranks_[place].rank;
  const Coordinate at = mesh_.coordinate(rank);
  return {{"rank", rank}, {"d", at.d}, {"p", at.p}, {"t", at.t}, {"program", program_of(place)}};
}

Json Chart::times_json(const std::vector<Interval>& intervals, const ChartProgram& program) {
  Json starts = Json::array(), lengths = Json::array(), processor = Json::array();
  std::int64_t last = 0;
  bool any_known = false;
  for (const std::size_t task : program.chosen) {
    const Interval& interval = intervals[task];
    const std::int64_t start = interval.ran() ? units(interval.start) : last;
    const bool known = interval.ran() && interval.processor >= 0;
    starts.push_back(start - last);
    lengths.push_back(interval.ran() ? units(interval.end) - start : -1);
    processor.push_back(known ? units(interval.processor) : -1);
    any_known = any_known || known;
    last = start;
  }
  Json json{{"start", std::move(starts)}, {"length", std::move(lengths)}};
  if (any_known) json["processor"] = std::move(processor);
  return json;
}

Json Chart::side_json(std::size_t side) const {
  Json json{{"name", sides_[side].name}, {"ranks", Json::array()}};
  for (std::size_t place = 0; place < ranks_.size(); ++place)
    json["ranks"].push_back(times_json(intervals_[side][place], programs_[program_of(place)]));
  return json;
}

std::string Chart::json() const {
  Json json{{"unit_us", kUnitSeconds * kMicroseconds},
            {"kinds", Json::array()},
            {"names", names_},
            {"programs", Json::array()},
            {"ranks", Json::array()},
            {"sides", Json::array()},
            {"left_out", {{"tasks", num_left_out_}, {"longest_us", longest_left_out_ * kMicroseconds}}}};
  for (int kind = 0; kind <= static_cast<int>(TaskKind::update); ++kind)
    json["kinds"].push_back(name_of(static_cast<TaskKind>(kind)));
  for (const ChartProgram& program : programs_) json["programs"].push_back(program_json(program));
  for (std::size_t place = 0; place < ranks_.size(); ++place) json["ranks"].push_back(rank_json(place));
  for (std::size_t side = 0; side < sides_.size(); ++side) json["sides"].push_back(side_json(side));
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string step_chart_json(std::span<const RankTasks> ranks, std::span<const ChartSide> sides, const Mesh& mesh,
                            const TaskName& name_of_task, std::size_t most_spans) {
  Chart chart(ranks, sides, mesh, name_of_task);
  chart.choose(most_spans);
  return chart.json();
}

}  // namespace dml
