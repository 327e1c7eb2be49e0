// CLI11 splits the words; what they mean stands in the option table.
#include "launch/options/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <vector>

#include "launch/options/config_file.h"
#include "launch/options/nearest.h"
#include "launch/options/option_table.h"
#include "launch/options/preset.h"

namespace dml {
namespace {

/// Values of one option as somebody gave them, and how messages call it: "--lr" or "c.toml line 3: lr".
struct Given {
  const OptionSpec* spec = nullptr;
  std::vector<std::string> values;
  std::string named;
};

class Parser {
 public:
  Parser();
  Command parse(std::span<const std::string> arguments);

 private:
  void add_options();
  void add_commands();
  void split(std::span<const std::string> arguments);
  void refuse_swallowed() const;
  void refuse_unknown(std::span<const std::string> arguments) const;
  Action action() const;
  std::vector<Given> given_on_line() const;
  std::vector<Given> given_in_file() const;
  Config config_of(Action action) const;

  CLI::App app_{"", "dmltrain"};
  std::vector<std::pair<const OptionSpec*, CLI::Option*>> options_;
  CLI::Option* config_ = nullptr;
  CLI::Option* help_ = nullptr;
  CLI::Option* version_ = nullptr;
  CLI::App* help_topic_ = nullptr;
  CLI::App* model_ = nullptr;
  CLI::App* show_ = nullptr;
  CLI::App* export_ = nullptr;
  CLI::App* partition_ = nullptr;
  std::string topic_, source_, output_;
  bool no_weights_ = false;
};

Parser::Parser() {
  app_.set_help_flag();
  app_.allow_extras();
  add_options();
  add_commands();
}

void Parser::add_options() {
  for (const OptionSpec& spec : option_table()) {
    const std::string name = "--" + spec.name;
    CLI::Option* option = spec.kind == OptionKind::flag ? app_.add_flag(name) : app_.add_option(name);
    if (spec.kind != OptionKind::flag) {
      option->type_size(1)->expected(1)->multi_option_policy(
          spec.kind == OptionKind::list ? CLI::MultiOptionPolicy::TakeAll : CLI::MultiOptionPolicy::TakeLast);
    }
    options_.emplace_back(&spec, option);
  }
  config_ = app_.add_option("--config")->type_size(1)->expected(1);
  help_ = app_.add_flag("-h,--help");
  version_ = app_.add_flag("--version");
}

void Parser::add_commands() {
  const auto command = [](CLI::App& parent, const char* name) {
    CLI::App* child = parent.add_subcommand(name);
    child->fallthrough();
    return child;
  };
  help_topic_ = command(app_, "help");
  help_topic_->add_option("topic", topic_);
  model_ = command(app_, "model");
  show_ = command(*model_, "show");
  export_ = command(*model_, "export");
  partition_ = command(*model_, "partition");
  for (CLI::App* child : {show_, export_, partition_}) child->add_option("source", source_);
  for (CLI::App* child : {export_, partition_}) child->add_option("output", output_);
  export_->add_flag("--no-weights", no_weights_);
}

void Parser::split(std::span<const std::string> arguments) {
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app_.parse(reversed);
  } catch (const CLI::ArgumentMismatch&) {
    throw UsageError(fmt::format("{} wants a value", arguments.back()));
  } catch (const CLI::ParseError& error) {
    throw UsageError(error.what());
  }
}

/// A flag that stands where a value should: the option before it has none.
void Parser::refuse_swallowed() const {
  for (const auto& [spec, option] : options_) {
    for (const std::string& value : option->results()) {
      if (value.starts_with("--")) {
        throw UsageError(fmt::format("--{} wants a value, but {} follows it", spec->name, value));
      }
    }
  }
}

void Parser::refuse_unknown(std::span<const std::string> arguments) const {
  const std::vector<std::string> unknown = app_.remaining(true);
  if (unknown.empty()) return;
  // The word that comes first on the command line is the one to speak of.
  const auto is_unknown = [&](const std::string& word) {
    return std::find(unknown.begin(), unknown.end(), word) != unknown.end();
  };
  const auto first = std::find_if(arguments.begin(), arguments.end(), is_unknown);
  const std::string word = first == arguments.end() ? unknown.front() : *first;
  if (!word.starts_with('-')) {
    const std::vector<std::string_view> commands = model_->parsed()
                                                       ? std::vector<std::string_view>{"show", "export", "partition"}
                                                       : std::vector<std::string_view>{"help", "model"};
    throw UsageError(fmt::format("unknown argument '{}'{}; commands are: {}", word, did_you_mean(word, commands),
                                 fmt::join(commands, ", ")));
  }
  std::vector<std::string_view> names = option_names();
  names.insert(names.end(), {"config", "help", "version"});
  const std::string bare = word.substr(word.find_first_not_of('-'), word.find('=') - word.find_first_not_of('-'));
  throw UsageError(fmt::format("unknown flag {}{}; dmltrain --help lists all", word.substr(0, word.find('=')),
                               did_you_mean(bare, names, "--")));
}

Action Parser::action() const {
  if (help_->count() > 0) return Action::help_page;
  if (version_->count() > 0) return Action::version;
  if (help_topic_->parsed()) return Action::help_topic;
  if (show_->parsed()) return Action::model_show;
  if (export_->parsed()) return Action::model_export;
  if (partition_->parsed()) return Action::model_partition;
  if (model_->parsed()) {
    throw UsageError(
        "model wants to know what to do: model show FILE, model export NAME OUT.onnx, or model partition FILE OUT");
  }
  return Action::train;
}

std::vector<Given> Parser::given_on_line() const {
  std::vector<Given> all;
  for (const auto& [spec, option] : options_) {
    if (option->count() == 0) continue;
    Given given{spec, option->results(), "--" + spec->name};
    for (const std::string& value : given.values) {
      if (value.starts_with("--"))
        throw UsageError(fmt::format("{} wants a value, but {} follows", given.named, value));
    }
    all.push_back(std::move(given));
  }
  return all;
}

std::vector<Given> Parser::given_in_file() const {
  std::vector<Given> all;
  if (config_->count() == 0) return all;
  for (FileEntry& entry : read_config_file(config_->results().back())) {
    all.push_back({find_option(entry.key), std::move(entry.values), fmt::format("{}: {}", entry.place, entry.key)});
  }
  return all;
}

bool names(const std::vector<Given>& all, std::string_view option) {
  return std::any_of(all.begin(), all.end(), [&](const Given& given) {
    return given.spec->name == option && !given.values.empty() && !given.values.back().empty();
  });
}

void apply(Config& config, const std::vector<Given>& all) {
  if (names(all, "steps") && names(all, "epochs"))
    throw UsageError("steps and epochs are both given: one of them says how long to train");
  for (const Given& given : all) {
    try {
      if (given.values.empty() && given.spec->kind != OptionKind::list) throw UsageError("has no value");
      given.spec->set(config, given.values);
    } catch (const UsageError& error) {
      throw UsageError(fmt::format("{}: {}", given.named, error.what()));
    }
  }
}

Config Parser::config_of(Action action) const {
  const std::vector<Given> file = given_in_file(), line = given_on_line();
  const auto given = [&](std::string_view option) { return names(file, option) || names(line, option); };
  const bool bare = action == Action::train && !given("model") && !given("data") && !given("shards");
  Config config = bare ? preset() : Config{};
  apply(config, file);
  apply(config, line);
  if (config.steps == 0 && config.epochs == 0) config.epochs = 1;
  if (action == Action::train) {
    check_run_options(config);
  } else if (!source_.empty()) {
    config.model.source = source_;
  }
  return config;
}

void require(const std::string& value, std::string_view usage) {
  if (value.empty()) throw UsageError(fmt::format("an argument is missing: {}", usage));
}

Command Parser::parse(std::span<const std::string> arguments) {
  split(arguments);
  refuse_swallowed();
  refuse_unknown(arguments);
  Command command;
  command.action = action();
  command.topic = topic_;
  command.output = output_;
  command.with_weights = !no_weights_;
  switch (command.action) {
    case Action::help_page:
    case Action::version:
    case Action::help_topic: return command;
    case Action::model_show: require(source_, "dmltrain model show FILE|NAME"); break;
    case Action::model_export: require(output_, "dmltrain model export NAME OUT.onnx [--no-weights]"); break;
    case Action::model_partition: require(output_, "dmltrain model partition FILE OUT/ --d D --p P --t T"); break;
    case Action::train: break;
  }
  command.config = config_of(command.action);
  return command;
}

}  // namespace

Command parse_command_line(std::span<const std::string> arguments) { return Parser().parse(arguments); }

}  // namespace dml
