#include "launch/options/simulate_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "launch/options/config_file.h"
#include "launch/options/option_makers.h"
#include "launch/options/usage_error.h"
#include "runtime/model/partition_options.h"

namespace dml {
namespace {

constexpr double kLargest = 1e15;
constexpr std::int64_t kMostDevices = 4096;
constexpr std::int64_t kMostMicrobatches = 100'000;
constexpr std::int64_t kMostStages = 65'536;
constexpr std::int64_t kMostChunks = 256;
constexpr std::int64_t kMostPasses = 20'000'000;

std::vector<std::string> split_at_commas(const std::vector<std::string>& texts) {
  std::vector<std::string> parts;
  for (const std::string& text : texts) {
    for (std::size_t begin = 0; begin <= text.size();) {
      const std::size_t end = std::min(text.find(',', begin), text.size());
      parts.push_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  return parts;
}

/// Values by option, each with what messages call it.
class Values {
  struct Value {
    std::vector<std::string> texts;
    std::string named;
  };

  template <typename Parse>
  auto named(std::string_view name, Parse parse) const {
    return under_name(place(name), parse);
  }

  template <typename Parse>
  auto parsed(std::string_view name, Parse parse) const {
    return named(name, [&] { return parse(values_.find(name)->second.texts.back()); });
  }

 public:
  explicit Values(const Command& command) {
    if (!command.arguments.empty()) read_file(command.arguments.front());
    for (const OwnOption& option : simulate_option_table()) {
      const auto given = command.own.find(option.name);
      if (given == command.own.end()) continue;
      const std::vector<std::string>& texts = given->second;
      values_[given->first] = {option.is_list ? texts : std::vector{texts.back()}, "--" + given->first};
    }
  }

  bool has(std::string_view name) const { return values_.contains(name); }

  /// As they were given.
  std::vector<std::string> whole_texts(std::string_view name) const {
    const auto value = values_.find(name);
    return value == values_.end() ? std::vector<std::string>{} : value->second.texts;
  }
  std::vector<std::string> texts(std::string_view name) const { return split_at_commas(whole_texts(name)); }

  /// The last value; the option must be there.
  std::string text(std::string_view name) const { return values_.find(name)->second.texts.back(); }

  bool flag(std::string_view name) const {
    return has(name) && parsed(name, [](const std::string& text) { return parse_flag(text); });
  }

  int integer(std::string_view name, std::int64_t least, std::int64_t most, int otherwise) const {
    if (!has(name)) return otherwise;
    return parsed(name, [&](const std::string& text) { return static_cast<int>(parse_integer(text, least, most)); });
  }

  double real(std::string_view name, double otherwise) const {
    return has(name) ? parsed(name, [](const std::string& text) { return parse_real(text, 0, kLargest); }) : otherwise;
  }

  /// One number for all stages, or one for each; `otherwise` by stage where the option is absent.
  template <typename Otherwise>
  std::vector<double> by_stage(std::string_view name, std::size_t num_stages, Otherwise otherwise) const {
    std::vector<double> numbers;
    for (const std::string& text : texts(name))
      numbers.push_back(named(name, [&] { return parse_real(text, 0, kLargest); }));
    if (numbers.size() == 1) numbers.assign(num_stages, numbers.front());
    for (std::size_t stage = 0; !has(name) && stage < num_stages; ++stage) numbers.push_back(otherwise(stage));
    if (numbers.size() != num_stages) {
      throw UsageError(fmt::format("{}: {} values for {} stages; give one for all, or one for each", place(name),
                                   numbers.size(), num_stages));
    }
    return numbers;
  }

  std::string place(std::string_view name) const { return values_.find(name)->second.named; }

 private:
  void read_file(const std::string& path) {
    std::vector<std::string_view> keys;
    const std::vector<OwnOption> options = simulate_option_table();
    std::transform(options.begin(), options.end(), std::back_inserter(keys), [](const OwnOption& o) { return o.name; });
    for (FileEntry& entry : read_command_file(path, keys)) {
      std::string named = fmt::format("{}: {}", entry.place, entry.key);
      if (entry.values.empty()) throw UsageError(named + ": has no value");
      values_[entry.key] = {std::move(entry.values), std::move(named)};
    }
  }

  std::map<std::string, Value, std::less<>> values_;
};

std::vector<double> required(const Values& values, std::string_view name, std::string_view what,
                             std::size_t num_stages) {
  if (!values.has(name)) {
    throw UsageError(
        fmt::format("--{0} is missing: the time of {1} of one microbatch on one stage, such as --{0} 1", name, what));
  }
  return values.by_stage(name, num_stages, [](std::size_t) { return 0.0; });
}

/// Orders alone are asked for, and none of them is searched for the times of passes.
bool does_without_times(const Values& values, const std::vector<RequestedSchedule>& schedules) {
  return values.has("emit") && !values.has("html") &&
         std::none_of(schedules.begin(), schedules.end(), [](const RequestedSchedule& schedule) {
           return !schedule.file && is_searched(find_schedule(schedule.name));
         });
}

std::vector<StageCost> read_model(const Values& values, std::size_t n, bool needs_times) {
  const auto times = [&](std::string_view name, std::string_view what) {
    return needs_times ? required(values, name, what, n) : values.by_stage(name, n, [](std::size_t) { return 1.0; });
  };
  const std::vector<double> forward = times("tf", "a forward pass");
  const std::vector<double> input_grad = times("tb", "a backward pass, input gradients alone,");
  const std::vector<double> weight_grad = times("tw", "the weight gradients");
  const std::vector<double> overlapped =
      values.by_stage("tfb", n, [&](std::size_t i) { return forward[i] + input_grad[i] + weight_grad[i]; });
  const std::vector<double> activations = values.by_stage("mem-b", n, [](std::size_t) { return 1.0; });
  const std::vector<double> weight_inputs =
      values.by_stage("mem-w", n, [&](std::size_t i) { return values.has("mem-b") ? 0 : activations[i] / 2; });
  std::vector<StageCost> model;
  for (std::size_t i = 0; i < n; ++i) {
    if (weight_inputs[i] > activations[i]) {
      throw UsageError(
          fmt::format("{}: stage {} holds {} until W, but only {} (--mem-b) until B; W needs a part of what B needs",
                      values.place("mem-w"), i, weight_inputs[i], activations[i]));
    }
    model.push_back({forward[i], input_grad[i], weight_grad[i], overlapped[i], activations[i], weight_inputs[i]});
  }
  return model;
}

void check_size(const PipelineSettings& settings) {
  const std::int64_t passes = 3 * std::ssize(settings.model) * std::max(settings.chunks, 1) * settings.microbatches;
  if (passes > kMostPasses) {
    throw UsageError(fmt::format("{} stages of {} microbatches are {} passes: at most {}", settings.model.size(),
                                 settings.microbatches, passes, kMostPasses));
  }
}

std::vector<RequestedSchedule> requested_schedules(const Values& values) {
  std::vector<RequestedSchedule> schedules;
  for (const std::string& name : values.texts("schedule")) {
    if (name.starts_with(kScheduleFile)) {
      const std::string path = name.substr(kScheduleFile.size());
      schedules.push_back({path, read_schedule(path)});
    } else {
      schedules.push_back({std::string(find_schedule(name).name)});
    }
  }
  for (const std::string& path : values.whole_texts("read")) schedules.push_back({path, read_schedule(path)});
  if (schedules.empty()) schedules.push_back({"1f1b"});
  return schedules;
}

/// The first file's, where sizes are not given otherwise.
const ParsedSchedule* file_of(const std::vector<RequestedSchedule>& schedules) {
  for (const RequestedSchedule& schedule : schedules) {
    if (schedule.file) return &*schedule.file;
  }
  return nullptr;
}

PipelineSettings read_settings(const Values& values, const ParsedSchedule* file, bool needs_times) {
  if (!values.has("devices") && file == nullptr)
    throw UsageError("--devices is missing: how many devices the pipeline has");
  PipelineSettings settings;
  settings.positions =
      values.integer("devices", 1, kMostDevices, file == nullptr ? 1 : file->placement.num_positions());
  const int stages =
      values.integer("stages", 1, kMostStages, file == nullptr ? settings.positions : file->placement.num_stages());
  settings.microbatches = values.integer("microbatches", 1, kMostMicrobatches,
                                         file == nullptr ? 2 * settings.positions : file->microbatches);
  settings.chunks = values.integer("chunks", 1, kMostChunks, 0);
  settings.group = values.integer("group", 1, kMostMicrobatches, 0);
  settings.model = read_model(values, static_cast<std::size_t>(stages), needs_times);
  settings.latency = values.real("tcomm", 0);
  settings.memory_limit = values.real("memory-limit", 0);
  check_size(settings);
  return settings;
}

/// A file's sizes are its own.
void check_files(const SimulateOptions& options) {
  for (const RequestedSchedule& schedule : options.schedules) {
    if (!schedule.file) continue;
    const ParsedSchedule& file = *schedule.file;
    if (file.placement.num_positions() != options.settings.positions ||
        file.microbatches != options.settings.microbatches) {
      throw UsageError(fmt::format("{} is of {} devices and {} microbatches, not of --devices {} and --microbatches {}",
                                   schedule.name, file.placement.num_positions(), file.microbatches,
                                   options.settings.positions, options.settings.microbatches));
    }
  }
}

}  // namespace

std::vector<OwnOption> simulate_option_table() {
  return {
      {"schedule", "NAME,...", "schedules to set side by side, or file:FILE (default 1f1b); dmltrain help simulate",
       true},
      {"read", "FILE", "a schedule in PyTorch's grammar: the same as --schedule file:FILE", true},
      {"devices", "P", "devices in the pipeline"},
      {"stages", "S", "stages that the times are given for (default P); merged or cut as a schedule needs"},
      {"microbatches", "M", "microbatches of a step (default 2 P)"},
      {"chunks", "V", "stages per device of the interleaved schedules (default S/P, at least 2)"},
      {"group", "G", "microbatches that a chunk takes in a row in those (default P)"},
      {"tf", "TIME,...", "forward pass of a microbatch on a stage; one for all, or one for each"},
      {"tb", "TIME,...", "backward pass: the input gradients alone"},
      {"tw", "TIME,...", "the weight gradients"},
      {"tfb", "TIME,...", "an overlapped forward and backward pass together (default tf + tb + tw)"},
      {"tcomm", "TIME", "from the end of a pass to the next stage having its result (default 0)"},
      {"mem-b", "MEMORY,...", "what a microbatch holds on a stage from F until B (default 1)"},
      {"mem-w", "MEMORY,...", "the part of it that is held until W (default 0; half of 1 without --mem-b)"},
      {"memory-limit", "MEMORY", "per device, for zb-1p and zb-2p (default P and 2 P times mem-b)"},
      {"emit", "actions", "prints the passes, sends and receives of each device instead"},
      {"json", "", "prints makespan, bubble_rate, devices and peak_memory as JSON"},
      {"hardware", "FILE|NAME",
       "predicts a whole step of --model instead, over --d, --p and --t; dmltrain help hardware"},
      {"html", "FILE",
       "writes a page: schedules whose times and sizes can be changed, or with --hardware the step and its memory"},
  };
}

SimulateOptions simulate_options(const Command& command) {
  const Values values(command);
  SimulateOptions options;
  options.schedules = requested_schedules(values);
  options.settings = read_settings(values, file_of(options.schedules), !does_without_times(values, options.schedules));
  check_files(options);
  options.json = values.flag("json");
  options.emits_actions = values.has("emit");
  if (options.emits_actions && values.text("emit") != "actions")
    throw UsageError(
        fmt::format("{}: '{}' cannot be emitted; there is: actions", values.place("emit"), values.text("emit")));
  if (options.emits_actions && options.schedules.size() > 1)
    throw UsageError(fmt::format("{}: wants one schedule, not {}", values.place("emit"), options.schedules.size()));
  if (values.has("html")) options.html = values.text("html");
  return options;
}

}  // namespace dml
