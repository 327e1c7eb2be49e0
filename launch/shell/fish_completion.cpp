// fish takes one `complete` line for each option; what stands on the line already is asked for by functions.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "launch/shell/completion.h"
#include "launch/shell/vocabulary.h"

namespace dml {
namespace {

constexpr std::string_view kFishHead = R"(# Completion of dmltrain in fish; written by `dmltrain completion fish`.

# True where the first words of the line are those of the command $argv, and one more is due or begun.
function __dmltrain_in
    set -l words (commandline -opc)
    test "$words[2..]" = "$argv"; or string match -q -- "$argv *" "$words[2..]"
end

# True where the line holds the words $argv and no others.
function __dmltrain_at
    set -l words (commandline -opc)
    test "$words[2..]" = "$argv"
end

)";

constexpr std::string_view kFishReads = R"(# True where the line is of a training, or of one of the commands $argv.
function __dmltrain_reads
    for command in $argv
        __dmltrain_in $command; and return
    end
    set -l words (commandline -opc)
    not contains -- "$words[2]" {}
end

complete -c dmltrain -f
)";

/// In single quotes, where backslash and quote alone mean something.
std::string fish_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\\' || c == '\'') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string fish_values(const std::vector<std::string>& choices, PathKind path) {
  std::string text;
  if (!choices.empty()) text += fmt::format(" -a {}", fish_quoted(fmt::format("{}", fmt::join(choices, " "))));
  if (path == PathKind::file) text += " -F";
  if (path == PathKind::folder) text += " -a '(__fish_complete_directories)'";
  return text;
}

std::string fish_option(std::string_view condition, const OptionWord& option) {
  std::string text =
      fmt::format("complete -c dmltrain{} -l {} -d {}", condition, option.name, fish_quoted(option.help));
  if (option.value.empty()) return text + "\n";
  return text + (option.path == PathKind::file ? " -r" : " -x") + fish_values(option.choices, option.path) + "\n";
}

/// The first words, and the second ones behind those that are no command alone.
std::string fish_words(std::span<const CommandWord> commands) {
  std::string text;
  for (const CommandWord& command : commands) {
    const std::size_t space = command.name.find(' ');
    const bool two_words = space != std::string::npos;
    const std::string before = two_words ? " " + command.name.substr(0, space) : "";
    text += fmt::format("complete -c dmltrain -n '__dmltrain_at{}' -a {} -d {}\n", before,
                        two_words ? command.name.substr(space + 1) : command.name, fish_quoted(command.summary));
  }
  for (const std::string& first : next_words(commands, "")) {
    if (!next_words(commands, first).empty())
      text += fmt::format("complete -c dmltrain -n __dmltrain_at -a {}\n", first);
  }
  return text;
}

/// True in a training, and behind the commands that take this option of training's.
std::string fish_readers(std::span<const CommandWord> commands, const OptionWord& option) {
  std::string text = " -n '__dmltrain_reads";
  for (const CommandWord& command : commands) {
    const bool reads = std::find(command.reads.begin(), command.reads.end(), option.name) != command.reads.end();
    if (reads) text += fmt::format(" \"{}\"", command.name);
  }
  return text + "'";
}

}  // namespace

std::string fish_completion(std::span<const CommandSpec> commands) {
  const std::vector<CommandWord> words = command_words(commands);
  std::string text(kFishHead);
  text += fmt::format(kFishReads, fmt::join(next_words(words, ""), " "));
  text += fish_words(words);
  for (const OptionWord& option : training_words()) text += fish_option(fish_readers(words, option), option);
  for (const CommandWord& command : words) {
    const std::string condition = fmt::format(" -n '__dmltrain_in {}'", command.name);
    for (const OptionWord& option : command.options) text += fish_option(condition, option);
    const std::string arguments = fish_values(command.choices, command.path);
    if (!arguments.empty()) text += fmt::format("complete -c dmltrain{}{}\n", condition, arguments);
  }
  return text;
}

}  // namespace dml
