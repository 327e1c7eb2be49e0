// The format: "Trace Event Format", docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU; Kineto's
// categories and arguments: github.com/pytorch/kineto, libkineto/src/output_json.cpp.
#include "launch/trace/chrome_passes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "kernels/error.h"
#include "launch/trace/kernel_kind.h"
#include "launch/trace/rank_in_name.h"

namespace dml {
namespace {

using Json = nlohmann::json;

constexpr double kMicroseconds = 1e6;
constexpr int kComputeRows = 1000;  // of a process in dmltrain's traces: rows below are of its compute queue

struct Interval {
  double start = 0, end = 0;
};

/// A complete event ("ph": "X").
struct Event {
  std::string name, category;
  Interval time;
  std::int64_t process = -1, thread = -1, correlation = -1;
  std::string task;  ///< of dmltrain
};

struct Kernel {
  Interval time;
  std::string kind;
  std::int64_t correlation = -1;
};

std::int64_t integer_at(const Json& json, const char* key) {
  const auto value = json.find(key);
  return value != json.end() && value->is_number_integer() ? value->get<std::int64_t>() : -1;
}

std::string text_at(const Json& json, const char* key) {
  const auto value = json.find(key);
  return value != json.end() && value->is_string() ? value->get<std::string>() : "";
}

Event event_of(const Json& json) {
  Event event;
  event.name = text_at(json, "name");
  event.category = text_at(json, "cat");
  const double start = json.at("ts").get<double>(), length = json.value("dur", 0.0);
  if (!std::isfinite(start) || !std::isfinite(length) || length < 0)
    throw IoError(fmt::format("event '{}' at {} takes {}", event.name, start, length));
  event.time = {start / kMicroseconds, (start + length) / kMicroseconds};
  event.process = integer_at(json, "pid");
  event.thread = integer_at(json, "tid");
  if (const auto arguments = json.find("args"); arguments != json.end() && arguments->is_object()) {
    event.correlation = integer_at(*arguments, "correlation");
    event.task = text_at(*arguments, "id");
  }
  return event;
}

double covered(std::vector<Interval> intervals) {
  std::sort(intervals.begin(), intervals.end(), [](const Interval& a, const Interval& b) { return a.start < b.start; });
  double seconds = 0, end = -std::numeric_limits<double>::infinity();
  for (const Interval& one : intervals) {
    seconds += std::max(0.0, one.end - std::max(end, one.start));
    end = std::max(end, one.end);
  }
  return seconds;
}

/// The events of one rank.
class RankEvents {
 public:
  void add(const Event& event) {
    if (event.category == "kernel" || event.category == "Kernel") {
      kernels_.push_back({event.time, kernel_kind(event.name), event.correlation});
    } else if (event.category == "gpu_memcpy" || event.category == "gpu_memset") {
      kernels_.push_back({event.time, "copies", event.correlation});
    } else if (event.category.starts_with("cuda_")) {
      launches_[event.correlation] = event.time.start;
    } else if (const auto name = parse_pass_name(event.name)) {
      (event.category == "gpu_user_annotation" ? device_labels_ : host_labels_)
          .push_back({*name, event.time.start, event.time.end});
    } else if (const auto pass = pass_of_task(event.task); pass && event.thread < kComputeRows) {
      add_task(*pass, event.time);
    }
  }

  bool has_passes() const { return !host_labels_.empty() || !device_labels_.empty() || !tasks_.empty(); }
  bool has_kernels() const { return !kernels_.empty(); }

  RankTrace trace() const {
    RankTrace trace;
    trace.passes = passes();
    std::sort(trace.passes.begin(), trace.passes.end(),
              [](const TracedPass& a, const TracedPass& b) { return a.start < b.start; });
    trace.kernels = kernel_seconds();
    return trace;
  }

 private:
  void add_task(const PassName& name, const Interval& time) {
    const auto [entry, is_new] = tasks_.try_emplace(name, time);
    entry->second.start = std::min(entry->second.start, time.start);
    entry->second.end = std::max(entry->second.end, time.end);
  }

  std::vector<TracedPass> passes() const {
    std::vector<TracedPass> passes = passes_by_kernels();
    if (!passes.empty()) return passes;
    if (!device_labels_.empty()) return device_labels_;
    if (!host_labels_.empty()) return host_labels_;
    for (const auto& [name, time] : tasks_) passes.push_back({name, time.start, time.end});
    return passes;
  }

  /// Each label as the span of the compute kernels that were launched within it; empty where none has any.
  std::vector<TracedPass> passes_by_kernels() const {
    std::vector<TracedPass> labels = host_labels_;
    std::sort(labels.begin(), labels.end(), [](const TracedPass& a, const TracedPass& b) { return a.start < b.start; });
    std::vector<TracedPass> passes;
    std::vector<std::ptrdiff_t> pass_of_label(labels.size(), -1);
    for (const Kernel& kernel : kernels_) {
      const auto launch = launches_.find(kernel.correlation);
      if (kernel.kind != "compute" || launch == launches_.end()) continue;
      const auto after = std::upper_bound(labels.begin(), labels.end(), launch->second,
                                          [](double time, const TracedPass& label) { return time < label.start; });
      if (after == labels.begin() || std::prev(after)->end < launch->second) continue;
      std::ptrdiff_t& pass = pass_of_label[static_cast<std::size_t>(std::prev(after) - labels.begin())];
      if (pass < 0) {
        pass = std::ssize(passes);
        passes.push_back({std::prev(after)->name, kernel.time.start, kernel.time.end});
      }
      TracedPass& span = passes[static_cast<std::size_t>(pass)];
      span.start = std::min(span.start, kernel.time.start);
      span.end = std::max(span.end, kernel.time.end);
    }
    return passes;
  }

  std::map<std::string, double> kernel_seconds() const {
    std::map<std::string, double> seconds;
    std::vector<Interval> compute, all;
    for (const Kernel& kernel : kernels_) {
      seconds[kernel.kind] += kernel.time.end - kernel.time.start;
      if (kernel.kind == "compute") compute.push_back(kernel.time);
      if (kernel.kind != "copies") all.push_back(kernel.time);
    }
    if (has_kernels()) seconds["exposed comm"] = covered(all) - covered(compute);
    return seconds;
  }

  std::vector<TracedPass> host_labels_, device_labels_;
  std::map<PassName, Interval> tasks_;
  std::vector<Kernel> kernels_;
  std::unordered_map<std::int64_t, double> launches_;  ///< by correlation: when the host launched a kernel
};

std::optional<int> stated_rank(const Json& json, const std::string& name) {
  if (json.is_object()) {
    const auto about = json.find("distributedInfo");
    if (about != json.end() && about->is_object()) {
      const std::int64_t rank = integer_at(*about, "rank");
      if (rank >= 0 && rank <= std::numeric_limits<int>::max()) return static_cast<int>(rank);
    }
  }
  return rank_in_name(name);
}

std::vector<Event> complete_events(const Json& json) {
  const Json& list = json.is_array() ? json : json.at("traceEvents");
  if (!list.is_array()) throw IoError("traceEvents is no list");
  std::vector<Event> events;
  for (const Json& event : list) {
    if (event.is_object() && text_at(event, "ph") == "X") events.push_back(event_of(event));
  }
  return events;
}

}  // namespace

std::vector<RankTrace> chrome_traces(const Json& json, const std::string& name) {
  const std::vector<Event> events = complete_events(json);
  RankEvents all;
  std::map<std::int64_t, RankEvents> by_process;
  for (const Event& event : events) {
    all.add(event);
    by_process[event.process].add(event);
  }
  std::erase_if(by_process, [](const auto& process) { return !process.second.has_passes(); });
  const std::optional<int> rank = stated_rank(json, name);
  std::vector<RankTrace> traces;
  // Kernels have the device as their process: with them a file is of one rank.
  if (rank || all.has_kernels() || by_process.size() == 1) {
    traces.push_back(all.trace());
    traces.back().rank = rank.value_or(-1);
    return traces;
  }
  for (const auto& [process, own] : by_process) {
    traces.push_back(own.trace());
    traces.back().rank = static_cast<int>(std::clamp<std::int64_t>(process, -1, std::numeric_limits<int>::max()));
  }
  return traces;
}

}  // namespace dml
