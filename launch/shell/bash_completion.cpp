// Bash hands over a line that it has cut at blanks, '=' and ':'. The script reads the line itself, cut at blanks alone,
// and takes what bash will not replace off its answers.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "launch/shell/completion.h"
#include "launch/shell/vocabulary.h"

namespace dml {
namespace {

constexpr std::string_view kBashHead =
    R"(# Completion of dmltrain in bash 4 and later; written by `dmltrain completion bash`.

# What value the option $2 of the command $1 takes, as choices, paths and list; false where it takes none.
_dmltrain_value() {
  case "$1 $2" in
)";

constexpr std::string_view kBashMiddle = R"(    *) return 1 ;;
  esac
}

# What may stand behind the command $1, or in a training: own, its options; choices and paths, its arguments.
_dmltrain_command() {
  case $1 in
)";

constexpr std::string_view kBashTail = R"(  esac
}

_dmltrain() {
  local line=${COMP_LINE:0:COMP_POINT} command='' value='' choices='' paths='' list='' own='' kept='' start=''
  local current=${line##*[[:space:]]}
  local -a words
  read -ra words <<<"$line"
  if [[ -n $current ]]; then unset 'words[-1]'; fi
  case "${words[1]-} ${words[2]-}" in
@COMMANDS@  esac
  local option=${words[-1]}
  value=$current
  if [[ $current == --*=* ]]; then
    option=${current%%=*}
    value=${current#*=}
  fi
  if ! _dmltrain_value "$command" "$option"; then
    value=$current
    _dmltrain_command "$command"
    if [[ $current == -* ]]; then
      choices=$own
      paths=''
    elif [[ -z $command ]]; then
      case ${#words[@]}:${words[1]-} in
        1:) choices='@FIRST@' ;;
@SECOND@      esac
    fi
  fi
  if [[ -n $list ]]; then start=${value%"${value##*,}"}; fi
  mapfile -t COMPREPLY < <(compgen -P "$start" -W "$choices" -- "${value#"$start"}")
  if [[ $value == *[=:]* ]]; then
    kept=${value%"${value##*[=:]}"}
    COMPREPLY=("${COMPREPLY[@]#"$kept"}")
  fi
  if [[ -n $paths ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen "$paths" -- "${value##*[=:]}")
  fi
}

complete -F _dmltrain dmltrain
)";

std::string_view path_flag(PathKind kind) {
  if (kind == PathKind::none) return "";
  return kind == PathKind::file ? "-f" : "-d";
}

/// "choices='a b' paths=-f", and nothing for what is empty.
std::string assignments(const std::vector<std::string>& choices, PathKind path, bool is_list) {
  std::string text;
  if (!choices.empty()) text += fmt::format(" choices='{}'", fmt::join(choices, " "));
  if (path != PathKind::none) text += fmt::format(" paths={}", path_flag(path));
  if (is_list) text += " list=yes";
  return text.empty() ? " :" : text;
}

/// A branch for each option with a value; `command` is an open quotation, or a pattern and one.
std::string value_branches(std::string_view command, std::span<const OptionWord> options) {
  std::string text;
  for (const OptionWord& option : options) {
    if (option.value.empty()) continue;
    text += fmt::format("    {} --{}'){} ;;\n", command, option.name,
                        assignments(option.choices, option.path, option.is_list));
  }
  return text;
}

std::string command_branches(std::span<const CommandWord> commands) {
  std::string text;
  for (const CommandWord& command : commands) {
    text += fmt::format("    '{}')\n      own='", command.name);
    for (const OptionWord& option : command.options) text += fmt::format(" --{}", option.name);
    for (const std::string& name : command.reads) text += fmt::format(" --{}", name);
    text += fmt::format("'\n     {} ;;\n", assignments(command.choices, command.path, false));
  }
  return text;
}

std::string training_branch(std::span<const OptionWord> options) {
  std::string text = "    '') own='";
  for (const OptionWord& option : options) text += fmt::format(" --{}", option.name);
  return text + "' ;;\n";
}

/// Which command the first words of a line say.
std::string recognised(std::span<const CommandWord> commands) {
  std::string text;
  for (const CommandWord& command : commands) {
    const bool two_words = command.name.find(' ') != std::string::npos;
    text += fmt::format("    '{}{}'*) command='{}' ;;\n", command.name, two_words ? "" : " ", command.name);
  }
  return text;
}

/// The second words, for first words that are no command alone.
std::string second_words(std::span<const CommandWord> commands) {
  std::string text;
  for (const std::string& first : next_words(commands, "")) {
    const std::vector<std::string> second = next_words(commands, first);
    if (!second.empty()) text += fmt::format("        2:{}) choices='{}' ;;\n", first, fmt::join(second, " "));
  }
  return text;
}

void replace(std::string& text, std::string_view mark, std::string_view by) {
  text.replace(text.find(mark), mark.size(), by);
}

}  // namespace

std::string bash_completion(std::span<const CommandSpec> commands) {
  const std::vector<CommandWord> words = command_words(commands);
  const std::vector<OptionWord> training = training_words();
  std::string tail(kBashTail);
  replace(tail, "@COMMANDS@", recognised(words));
  replace(tail, "@FIRST@", fmt::format("{}", fmt::join(next_words(words, ""), " ")));
  replace(tail, "@SECOND@", second_words(words));
  std::string text(kBashHead);
  for (const CommandWord& command : words) {
    text += value_branches(fmt::format("'{}", command.name), command.options);
  }
  text += value_branches("*'", training);
  return text + std::string(kBashMiddle) + command_branches(words) + training_branch(training) + tail;
}

}  // namespace dml
