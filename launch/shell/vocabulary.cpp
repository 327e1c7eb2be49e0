#include "launch/shell/vocabulary.h"

#include <algorithm>

#include "launch/help/topics.h"
#include "models/zoo/zoo.h"
#include "parallel/cost/hardware.h"
#include "parallel/pipeline/schedule.h"

namespace dml {
namespace {

using Words = std::vector<std::string>;

bool holds(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

/// The literal words of a placeholder: "DIR|auto" has auto, "[status|cancel JOB]" two.
Words literal_words(std::string_view placeholder) {
  constexpr std::string_view kBetween = "|[]: ";
  Words words;
  for (std::size_t begin = 0, end = 0; begin < placeholder.size(); begin = end + 1) {
    end = std::min(placeholder.find_first_of(kBetween, begin), placeholder.size());
    const std::string_view word = placeholder.substr(begin, end - begin);
    const bool literal = std::all_of(word.begin(), word.end(), [](char c) { return c >= 'a' && c <= 'z'; });
    if (literal && !word.empty()) words.emplace_back(word);
  }
  return words;
}

PathKind path_kind(std::string_view placeholder) {
  for (const std::string_view file : {"FILE", "SOURCE", "OUT.", "RUN"}) {
    if (holds(placeholder, file)) return PathKind::file;
  }
  return holds(placeholder, "DIR") || holds(placeholder, "OUT/") ? PathKind::folder : PathKind::none;
}

Words names_of_models() {
  Words names;
  for (const BuiltinModel& model : builtin_models()) names.push_back(model.name);
  return names;
}

Words names_of_schedules() {
  Words names;
  for (const ScheduleDef& schedule : all_schedules()) names.emplace_back(schedule.name);
  return names;
}

Words known_values(std::string_view option, std::string_view placeholder) {
  if (option == "model") return names_of_models();
  if (option == "schedules") return names_of_schedules();
  if (option == "hardware") return {hardware_preset_names().begin(), hardware_preset_names().end()};
  const OptionSpec* training = find_option(option);
  if (training != nullptr && !training->choices.empty()) return training->choices;
  return literal_words(placeholder);
}

OptionWord option_word(std::string_view name, std::string_view value, std::string_view help) {
  return {.name = std::string(name),
          .value = std::string(value),
          .help = std::string(help),
          .choices = value.empty() ? Words{} : known_values(name, value),
          .path = path_kind(value),
          .is_list = holds(value, ",...")};
}

/// What the command takes of training's options, and what every command line takes.
Words names_read(const CommandSpec& spec) {
  Words names;
  const auto is_own = [&](std::string_view name) {
    return std::any_of(spec.options.begin(), spec.options.end(),
                       [&](const OwnOption& own) { return own.name == name; });
  };
  for (const OptionSpec& option : option_table()) {
    if (spec.reads_option(option) && !is_own(option.name)) names.push_back(option.name);
  }
  for (const OwnOption& common : common_options()) names.emplace_back(common.name);
  return names;
}

Words known_arguments(std::string_view placeholder) {
  if (holds(placeholder, "NAME")) return names_of_models();
  if (!holds(placeholder, "TOPIC")) return literal_words(placeholder);
  Words topics;
  for (const HelpTopic& topic : help_topics()) topics.emplace_back(topic.name);
  return topics;
}

}  // namespace

std::vector<OptionWord> training_words() {
  std::vector<OptionWord> words;
  for (const OptionSpec& spec : option_table()) words.push_back(option_word(spec.name, spec.value, spec.help));
  for (const OwnOption& common : common_options()) {
    words.push_back(option_word(common.name, common.value, common.help));
  }
  return words;
}

std::vector<CommandWord> command_words(std::span<const CommandSpec> commands) {
  std::vector<CommandWord> words;
  for (const CommandSpec& spec : commands) {
    CommandWord word{.name = std::string(spec.name),
                     .summary = std::string(spec.summary),
                     .options = {},
                     .reads = names_read(spec),
                     .choices = known_arguments(spec.arguments),
                     .path = path_kind(spec.arguments)};
    for (const OwnOption& own : spec.options) word.options.push_back(option_word(own.name, own.value, own.help));
    words.push_back(std::move(word));
  }
  for (CommandWord& word : words) {
    const std::vector<std::string> second = next_words(words, word.name);
    word.choices.insert(word.choices.end(), second.begin(), second.end());
  }
  std::stable_partition(words.begin(), words.end(), [](const CommandWord& word) { return holds(word.name, " "); });
  return words;
}

std::vector<std::string> next_words(std::span<const CommandWord> commands, std::string_view first) {
  std::vector<std::string> words;
  for (const CommandWord& command : commands) {
    const std::size_t space = std::min(command.name.find(' '), command.name.size());
    std::string word = command.name.substr(0, space);
    if (!first.empty()) {
      if (word != first || space == command.name.size()) continue;
      word = command.name.substr(space + 1);
    }
    if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(std::move(word));
  }
  return words;
}

}  // namespace dml
