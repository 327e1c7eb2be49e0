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

/// `dmltrain help`.
CommandSpec help_command();

/// The text of a topic, or for an empty name the list of topics. Throws UsageError for an unknown one.
std::string help_topic(const std::string& name, Style style);

/// Markdown as it looks on a terminal; unchanged where that shows no emphasis.
std::string render_markdown(std::string_view markdown, Style style);

}  // namespace dml
