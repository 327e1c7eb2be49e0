// CLI11 splits the words; what they mean stands in the option table.
#include "launch/options/command_line.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
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

/// A command's part of the parser.
struct Subcommand {
  const CommandSpec* spec = nullptr;
  CLI::App* app = nullptr;
  std::vector<std::string> arguments;
  std::vector<std::pair<const OwnOption*, CLI::Option*>> options;
};

class Parser {
 public:
  explicit Parser(std::span<const CommandSpec> commands);
  Command parse(std::span<const std::string> arguments);

 private:
  void add_options();
  void add_command(const CommandSpec& spec);
  CLI::App* named(std::string_view name);
  void split(std::span<const std::string> arguments);
  void refuse_swallowed() const;
  void refuse_unknown(std::span<const std::string> arguments) const;
  [[noreturn]] void refuse_word(const std::string& word) const;
  const Subcommand* parsed() const;
  const Subcommand* chosen() const;
  std::vector<Given> given_on_line() const;
  std::vector<Given> given_in_file() const;
  Config config_of(const CommandSpec* spec, const std::vector<Given>& line) const;

  CLI::App app_{"", "dmltrain"};
  std::vector<std::pair<const OptionSpec*, CLI::Option*>> options_;
  CLI::Option* config_ = nullptr;
  CLI::Option* help_ = nullptr;
  CLI::Option* version_ = nullptr;
  std::vector<std::unique_ptr<Subcommand>> commands_;  // their addresses are CLI11's
};

std::string_view first_word(std::string_view name) { return name.substr(0, name.find(' ')); }
std::string_view second_word(std::string_view name) {
  const std::size_t space = name.find(' ');
  return space == std::string_view::npos ? std::string_view{} : name.substr(space + 1);
}

Parser::Parser(std::span<const CommandSpec> commands) {
  app_.set_help_flag();
  app_.allow_extras();
  app_.require_subcommand(0, 1);  // a word behind a command is its argument, also where it is a command's name
  add_options();
  for (const CommandSpec& spec : commands) add_command(spec);
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

/// The parser of a command's name, made where it is not there yet.
CLI::App* Parser::named(std::string_view name) {
  CLI::App* app = &app_;
  for (const std::string_view word : {first_word(name), second_word(name)}) {
    if (word.empty()) break;
    const std::vector<CLI::App*> children = app->get_subcommands([](const CLI::App*) { return true; });
    const auto child =
        std::find_if(children.begin(), children.end(), [&](CLI::App* c) { return c->get_name() == word; });
    app = child != children.end() ? *child : app->add_subcommand(std::string(word))->fallthrough();
    app->set_help_flag();
  }
  return app;
}

void Parser::add_command(const CommandSpec& spec) {
  Subcommand& command = *commands_.emplace_back(std::make_unique<Subcommand>());
  command.spec = &spec;
  command.app = named(spec.name);
  if (spec.most_arguments > 0) {
    command.app->add_option("arguments", command.arguments)->expected(0, static_cast<int>(spec.most_arguments));
  }
  for (const OwnOption& own : spec.options) {
    const std::string name = fmt::format("--{}", own.name);
    CLI::Option* option = own.value.empty() ? command.app->add_flag(name) : command.app->add_option(name);
    if (!own.value.empty()) {
      option->type_size(1)->expected(1)->multi_option_policy(own.is_list ? CLI::MultiOptionPolicy::TakeAll
                                                                         : CLI::MultiOptionPolicy::TakeLast);
    }
    command.options.emplace_back(&own, option);
  }
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
void refuse_flag_as_value(std::string_view name, const CLI::Option& option) {
  for (const std::string& value : option.results()) {
    if (value.starts_with("--")) {
      throw UsageError(fmt::format("--{} wants a value, but {} follows it", name, value));
    }
  }
}

void Parser::refuse_swallowed() const {
  for (const auto& [spec, option] : options_) refuse_flag_as_value(spec->name, *option);
  const Subcommand* command = parsed();
  if (command == nullptr) return;
  for (const auto& [own, option] : command->options) refuse_flag_as_value(own->name, *option);
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
  if (!word.starts_with('-')) refuse_word(word);
  std::vector<std::string_view> names = option_names();
  for (const OwnOption& common : common_options()) names.push_back(common.name);
  if (const Subcommand* command = parsed()) {
    for (const OwnOption& own : command->spec->options) names.push_back(own.name);
  }
  const std::string bare = word.substr(word.find_first_not_of('-'), word.find('=') - word.find_first_not_of('-'));
  throw UsageError(fmt::format("unknown flag {}{}; dmltrain --help lists all", word.substr(0, word.find('=')),
                               did_you_mean(bare, names, "--")));
}

/// An argument that nothing takes: the name of no command, or one too many.
void Parser::refuse_word(const std::string& word) const {
  const std::vector<CLI::App*> given = app_.get_subcommands();
  const std::string_view first = given.empty() ? std::string_view{} : std::string_view(given.front()->get_name());
  std::vector<std::string_view> names;
  for (const auto& command : commands_) {
    const bool inside = first_word(command->spec->name) == first;
    const std::string_view name = inside ? second_word(command->spec->name) : first_word(command->spec->name);
    const bool listed = std::find(names.begin(), names.end(), name) != names.end();
    if ((first.empty() || inside) && !name.empty() && !listed) names.push_back(name);
  }
  if (names.empty()) {
    throw UsageError(fmt::format("unknown argument '{}'; usage: dmltrain {}", word, parsed()->spec->usage()));
  }
  throw UsageError(fmt::format("unknown argument '{}'{}; commands are: {}", word, did_you_mean(word, names),
                               fmt::join(names, ", ")));
}

/// The command on the line, or null.
const Subcommand* Parser::parsed() const {
  const auto command = std::find_if(commands_.begin(), commands_.end(), [](const auto& c) { return c->app->parsed(); });
  return command == commands_.end() ? nullptr : command->get();
}

/// The same, null for training alone: a first word where a second is due is an error.
const Subcommand* Parser::chosen() const {
  const std::vector<CLI::App*> given = app_.get_subcommands();
  const Subcommand* command = parsed();
  if (command != nullptr || given.empty()) return command;
  std::vector<std::string> uses;
  for (const auto& one : commands_) {
    if (first_word(one->spec->name) == given.front()->get_name()) {
      uses.push_back(one->spec->usage());
    }
  }
  throw UsageError(fmt::format("{} wants to know what to do: {}", given.front()->get_name(), fmt::join(uses, ", or ")));
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

/// The command's own options in place of one of training's: --min-d and --max-d for d, --schedules for schedule.
std::string alike_options(const CommandSpec& spec, std::string_view name) {
  std::string text;
  for (const OwnOption& own : spec.options) {
    const bool is_alike = own.name == fmt::format("{}s", name) || own.name.ends_with(fmt::format("-{}", name));
    if (is_alike) text += fmt::format("{}--{}", text.empty() ? "" : ", ", own.name);
  }
  return text;
}

/// An option that the command would pass over without a word.
void refuse_unread(const CommandSpec& spec, const std::vector<Given>& line) {
  for (const Given& given : line) {
    if (spec.reads_option(*given.spec)) continue;
    const std::string own = alike_options(spec, given.spec->name);
    const std::string reads = spec.reads.empty() ? "none" : spec.reads_text();
    throw UsageError(fmt::format("{}: `dmltrain {}` has no use for it; {}", given.named, spec.name,
                                 own.empty() ? "of training's options it reads " + reads : "it has " + own));
  }
}

Config Parser::config_of(const CommandSpec* spec, const std::vector<Given>& line) const {
  const std::vector<Given> file = given_in_file();
  const auto given = [&](std::string_view option) { return names(file, option) || names(line, option); };
  const bool has_preset = spec == nullptr || spec->on_preset;
  const bool bare = has_preset && !given("model") && !given("data") && !given("shards");
  Config config = bare ? preset() : Config{};
  const bool plans = spec == nullptr || spec->reads_option(*find_option("plan"));
  if (plans && given("plan")) unset_planned(config.layout);
  apply(config, file);
  apply(config, line);
  if (config.steps == 0 && config.epochs == 0) config.epochs = 1;
  if (spec == nullptr) check_run_options(config);
  return config;
}

Command Parser::parse(std::span<const std::string> arguments) {
  split(arguments);
  Command command;
  if (version_->count() > 0) command.wish = Command::Wish::version;
  if (help_->count() > 0) command.wish = Command::Wish::help;
  refuse_swallowed();
  refuse_unknown(arguments);
  const Subcommand* chosen_command = chosen();
  if (chosen_command != nullptr) {
    command.spec = chosen_command->spec;
    command.arguments = chosen_command->arguments;
    for (const auto& [own, option] : chosen_command->options) {
      if (option->count() > 0) command.own[std::string(own->name)] = option->results();
    }
  }
  if (command.wish != Command::Wish::run) return command;
  if (command.spec != nullptr && command.arguments.size() < command.spec->least_arguments) {
    throw UsageError("an argument is missing: dmltrain " + command.spec->usage());
  }
  const std::vector<Given> line = given_on_line();
  if (command.spec != nullptr) refuse_unread(*command.spec, line);
  for (const Given& given : line) command.given.push_back(given.named);
  command.config = config_of(command.spec, line);
  return command;
}

}  // namespace

std::string CommandSpec::usage() const {
  return arguments.empty() ? std::string(name) : fmt::format("{} {}", name, arguments);
}

bool CommandSpec::reads_option(const OptionSpec& option) const {
  return std::any_of(reads.begin(), reads.end(),
                     [&](std::string_view read) { return read == option.name || read == option.group; });
}

std::string CommandSpec::reads_text() const {
  std::string text;
  for (const std::string_view read : reads) {
    text += fmt::format("{}{}{}", text.empty() ? "" : ", ", find_option(read) != nullptr ? "--" : "", read);
  }
  return text;
}

std::span<const OwnOption> common_options() {
  static constexpr OwnOption kOptions[] = {
      {"config", "FILE.toml", "reads options from a file, keys without the dashes; the command line goes over it"},
      {"help", "", "says what there is, of dmltrain or of a command"},
      {"version", "", "says which dmltrain this is"},
  };
  return kOptions;
}

void Command::refuse_given(std::string_view why) const {
  if (!given.empty()) throw UsageError(fmt::format("{}: {}", given.front(), why));
}

void Command::refuse_given(std::string_view why, std::span<const std::string_view> options) const {
  for (const std::string_view option : options) {
    const std::string name = fmt::format("--{}", option);
    if (std::find(given.begin(), given.end(), name) != given.end()) throw UsageError(fmt::format("{}: {}", name, why));
  }
}

std::string Command::text(std::string_view option, std::string_view otherwise) const {
  const auto given = own.find(option);
  return given == own.end() ? std::string(otherwise) : given->second.back();
}

Command parse_command_line(std::span<const std::string> arguments, std::span<const CommandSpec> commands) {
  return Parser(commands).parse(arguments);
}

}  // namespace dml
