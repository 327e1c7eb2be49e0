// The format: "Trace Event Format", docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
#include "launch/report/chrome_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <ostream>
#include <tuple>
#include <vector>

#include "launch/atomic_file.h"

namespace dml {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<const char*, 5> kQueueNames = {"compute", "tensor communication", "pipeline send",
                                                    "pipeline receive", "data communication"};
constexpr std::array<const char*, 5> kPhaseNames = {"forward", "input gradient", "weight gradient", "recomputation",
                                                    "update"};
constexpr int kRowsPerQueue = 1000;

/// Sender, receiver, value, phase, microbatch, channel: what a send and its receive agree on.
using TransferKey = std::tuple<int, int, std::int32_t, Phase, std::int32_t, std::int32_t>;

TransferKey key_of(int rank, const Task& task) {
  const bool sends = task.kind == TaskKind::send;
  return {
      sends ? rank : task.peer, sends ? task.peer : rank, task.value, task.id.phase, task.id.microbatch, task.channel};
}

bool is_transfer(const Task& task) { return task.kind == TaskKind::send || task.kind == TaskKind::receive; }

double microseconds(double seconds) { return seconds * 1e6; }

class ChromeTraceWriter {
 public:
  ChromeTraceWriter(std::ostream& out, const Mesh& mesh, const TaskName& name_of_task)
      : out_(out), mesh_(mesh), name_of_task_(name_of_task) {
    out_ << "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[";
  }

  void add_rank(const RankTasks& rank, std::vector<Span> spans);
  void finish();

 private:
  struct Place {
    int rank = 0;
    int row = 0;
    Span span;
  };

  void emit(const Json& event);
  void name_process(int rank);
  int row_of(int rank, QueueId queue, const Span& span);
  void add_slice(const RankTasks& rank, const Task& task, const Span& span, int row);
  void add_arrow_end(const char* phase, const Place& place, double ts, std::int64_t id);

  std::ostream& out_;
  const Mesh& mesh_;
  const TaskName& name_of_task_;
  bool first_ = true;
  std::map<int, double> row_end_;  ///< of the rank at hand: row -> end of its last slice
  std::map<TransferKey, Place> sends_, receives_;
};

void ChromeTraceWriter::emit(const Json& event) {
  out_ << (first_ ? "\n" : ",\n") << event.dump(-1, ' ', false, Json::error_handler_t::replace);
  first_ = false;
}

void ChromeTraceWriter::name_process(int rank) {
  const Coordinate at = mesh_.coordinate(rank);
  const std::string name = fmt::format("rank {} (d{} p{} t{})", rank, at.d, at.p, at.t);
  emit({{"ph", "M"}, {"name", "process_name"}, {"pid", rank}, {"args", {{"name", name}}}});
  emit({{"ph", "M"}, {"name", "process_sort_index"}, {"pid", rank}, {"args", {{"sort_index", rank}}}});
}

/// The first row of the queue that is free when the span starts: slices of one row may not overlap.
int ChromeTraceWriter::row_of(int rank, QueueId queue, const Span& span) {
  const int first = static_cast<int>(queue) * kRowsPerQueue;
  int row = first;
  while (row_end_.contains(row) && row_end_[row] > span.start) ++row;
  if (!row_end_.contains(row)) {
    const char* queue_name = kQueueNames[static_cast<std::size_t>(queue)];
    const std::string name = row == first ? queue_name : fmt::format("{} {}", queue_name, row - first + 1);
    emit({{"ph", "M"}, {"name", "thread_name"}, {"pid", rank}, {"tid", row}, {"args", {{"name", name}}}});
    emit({{"ph", "M"}, {"name", "thread_sort_index"}, {"pid", rank}, {"tid", row}, {"args", {{"sort_index", row}}}});
  }
  row_end_[row] = span.end;
  return row;
}

void ChromeTraceWriter::add_slice(const RankTasks& rank, const Task& task, const Span& span, int row) {
  const Work& work = rank.work_of(task);
  Json args = {{"id", task.id.to_string()}, {"bytes", work.bytes}, {"flops", work.flops}};
  if (span.processor >= 0) args["processor_us"] = microseconds(span.processor);
  if (is_transfer(task)) args["peer"] = task.peer;
  emit({{"ph", "X"},
        {"name", name_of_task_(rank, task)},
        {"cat", kPhaseNames[static_cast<std::size_t>(task.id.phase)]},
        {"pid", rank.rank},
        {"tid", row},
        {"ts", microseconds(span.start)},
        {"dur", microseconds(span.end - span.start)},
        {"args", std::move(args)}});
}

void ChromeTraceWriter::add_rank(const RankTasks& rank, std::vector<Span> spans) {
  name_process(rank.rank);
  row_end_.clear();
  std::stable_sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) { return a.start < b.start; });
  for (const Span& span : spans) {
    const Task& task = rank.tasks.at(static_cast<std::size_t>(span.task));
    const int row = row_of(rank.rank, task.queue, span);
    add_slice(rank, task, span, row);
    if (is_transfer(task)) {
      auto& ends = task.kind == TaskKind::send ? sends_ : receives_;
      ends[key_of(rank.rank, task)] = {rank.rank, row, span};
    }
  }
}

void ChromeTraceWriter::add_arrow_end(const char* phase, const Place& place, double ts, std::int64_t id) {
  Json event = {{"ph", phase},       {"name", "transfer"}, {"cat", "transfer"}, {"id", id},
                {"pid", place.rank}, {"tid", place.row},   {"ts", ts}};
  if (*phase == 'f') event["bp"] = "e";
  emit(event);
}

void ChromeTraceWriter::finish() {
  std::int64_t id = 0;
  for (const auto& [key, send] : sends_) {
    const auto receive = receives_.find(key);
    if (receive == receives_.end()) continue;
    const Span& arrival = receive->second.span;
    // An arrow binds to the slice around its time: just before the receive's end.
    const double before_end = std::min(0.5, microseconds(arrival.end - arrival.start) / 2);
    ++id;
    add_arrow_end("s", send, microseconds(send.span.start), id);
    add_arrow_end("f", receive->second, microseconds(arrival.end) - before_end, id);
  }
  out_ << "\n]}\n";
}

}  // namespace

void write_chrome_trace(std::ostream& out, std::span<const RankTasks> ranks, const Timeline& timeline, const Mesh& mesh,
                        const TaskName& name_of_task) {
  std::map<int, std::vector<Span>> spans;
  for (const Span& span : timeline.spans) spans[span.rank].push_back(span);
  ChromeTraceWriter writer(out, mesh, name_of_task);
  for (const RankTasks& rank : ranks) writer.add_rank(rank, std::move(spans[rank.rank]));
  writer.finish();
}

void write_chrome_trace(const std::string& path, std::span<const RankTasks> ranks, const Timeline& timeline,
                        const Mesh& mesh, const TaskName& name_of_task) {
  AtomicFile file(path);
  write_chrome_trace(file.stream(), ranks, timeline, mesh, name_of_task);
  file.commit();
}

}  // namespace dml
