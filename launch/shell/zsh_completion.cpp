// zsh's own _arguments does the work: a specification for each option, '--name=[help]:VALUE:action'.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "launch/options/nearest.h"
#include "launch/options/usage_error.h"
#include "launch/shell/completion.h"
#include "launch/shell/vocabulary.h"

namespace dml {
namespace {

constexpr std::string_view kZshHead = R"(#compdef dmltrain
# Completion of dmltrain in zsh; written by `dmltrain completion zsh`.

_dmltrain() {
  local -A training
  local -a own reads
  local name
  training=(
)";

// Loaded by zsh as the function itself, the file does it; sourced, it says who does.
constexpr std::string_view kZshTail = R"(  for name in $reads; do own+=("$training[$name]"); done
  _arguments -S $own
}

if [[ ${funcstack[1]-} == _dmltrain ]]; then _dmltrain "$@"; else compdef _dmltrain dmltrain; fi
)";

/// In single quotes, where only the quote itself must be written otherwise.
std::string zsh_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

/// Help inside a specification, where brackets and colons end a part.
std::string zsh_help(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

/// What completes a value: words, paths, or both.
std::string zsh_action(const std::vector<std::string>& choices, PathKind path, bool is_list) {
  const std::string_view paths = path == PathKind::folder ? "_files -/" : "_files";
  std::string words;
  for (const std::string& choice : choices) words += (words.empty() ? "" : " ") + zsh_help(choice);
  if (choices.empty()) return path == PathKind::none ? "" : std::string(paths);
  if (is_list) return fmt::format("_sequence compadd - {}", words);
  if (path == PathKind::none) return fmt::format("({})", words);
  return fmt::format("_alternative \"words:word:({})\" \"paths:path:{}\"", words, paths);
}

std::string zsh_option(const OptionWord& option) {
  std::string spec = fmt::format("*--{}{}[{}]", option.name, option.value.empty() ? "" : "=", zsh_help(option.help));
  if (!option.value.empty()) {
    spec += fmt::format(":{}:{}", zsh_help(option.value), zsh_action(option.choices, option.path, option.is_list));
  }
  return zsh_quoted(spec) + "\n";
}

std::string zsh_command(const CommandWord& command) {
  const bool two_words = command.name.find(' ') != std::string::npos;
  std::string text = fmt::format("    '{}{}'*)\n      shift {} words; (( CURRENT -= {} ))\n      own=(\n", command.name,
                                 two_words ? "" : " ", two_words ? 2 : 1, two_words ? 2 : 1);
  for (const OptionWord& option : command.options) text += "        " + zsh_option(option);
  const std::string action = zsh_action(command.choices, command.path, false);
  if (!action.empty()) text += "        " + zsh_quoted("*:argument:" + action) + "\n";
  return text + fmt::format("      )\n      reads=({}) ;;\n", fmt::join(command.reads, " "));
}

}  // namespace

std::string zsh_completion(std::span<const CommandSpec> commands) {
  const std::vector<CommandWord> words = command_words(commands);
  std::string text(kZshHead);
  for (const OptionWord& option : training_words()) text += fmt::format("    {} {}", option.name, zsh_option(option));
  text += "  )\n  case \"$words[2] $words[3]\" in\n";
  for (const CommandWord& command : words) text += zsh_command(command);
  for (const std::string& first : next_words(words, "")) {
    const std::vector<std::string> second = next_words(words, first);
    if (second.empty()) continue;
    text += fmt::format("    '{} '*) shift words; (( CURRENT -= 1 ))\n      own=({}) ;;\n", first,
                        zsh_quoted(fmt::format("1:command:({})", fmt::join(second, " "))));
  }
  text += fmt::format("    *) own=({}) reads=(${{(k)training}}) ;;\n  esac\n",
                      zsh_quoted(fmt::format("1:command:({})", fmt::join(next_words(words, ""), " "))));
  return text + std::string(kZshTail);
}

std::string completion(std::string_view shell, std::span<const CommandSpec> commands) {
  constexpr std::string_view kShells[] = {"bash", "zsh", "fish"};
  if (shell == kShells[0]) return bash_completion(commands);
  if (shell == kShells[1]) return zsh_completion(commands);
  if (shell == kShells[2]) return fish_completion(commands);
  throw UsageError(fmt::format("completion: there is none for '{}'{}; shells are: {}", shell,
                               did_you_mean(std::string(shell), kShells), fmt::join(kShells, ", ")));
}

}  // namespace dml
