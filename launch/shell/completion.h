// Completion scripts, one for each shell. All are made of the same vocabulary, so that none knows an option less.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "launch/options/command_line.h"

namespace dml {

/// Each is the text of a whole script.
std::string bash_completion(std::span<const CommandSpec> commands);
std::string zsh_completion(std::span<const CommandSpec> commands);
std::string fish_completion(std::span<const CommandSpec> commands);

/// Throws UsageError for a shell that is none of the three.
std::string completion(std::string_view shell, std::span<const CommandSpec> commands);

}  // namespace dml
