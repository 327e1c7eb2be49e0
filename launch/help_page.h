// `dmltrain --help` and `dmltrain help TOPIC`.
#pragma once

#include <string>

#include "launch/options/command_line.h"
#include "launch/terminal/style.h"

namespace dml {

/// Usage, commands, every option in its group with its default, examples: at most 100 columns wide.
std::string help_page(std::span<const CommandSpec> commands, Style style);

/// Usage and own options of one command.
std::string command_page(const CommandSpec& command, Style style);

/// What pages for a terminal and the man page share.
struct HelpExample {
  std::string_view does;
  std::string_view command;
};
std::span<const HelpExample> help_examples();
inline constexpr std::string_view kHelpSummary =
    "Trains ONNX models over d x p x t ranks: data, pipeline and tensor parallel.";
inline constexpr std::string_view kHelpExitCodes =
    "0 done, 1 check failed, 2 bad input, 3 loss not finite, 4 communication, 5 device or memory, "
    "70 a bug, 75 stopped by a signal and saved";
/// The help of an option, with its default in brackets: in words, or the value itself.
std::string help_of(const OptionSpec& spec);
/// "dmltrain model show FILE|NAME [OPTIONS]".
std::string usage_of(const CommandSpec& command);
/// What is trained without --model and --data, as a command line.
std::string preset_text();

/// `dmltrain help`.
CommandSpec help_command();

/// The text of a topic, or for an empty name the list of topics. Throws UsageError for an unknown one.
std::string help_topic(const std::string& name, Style style);

/// Markdown as it looks on a terminal; unchanged where that shows no emphasis.
std::string render_markdown(std::string_view markdown, Style style);

}  // namespace dml
