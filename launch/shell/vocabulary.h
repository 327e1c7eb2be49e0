// The words that a command line of dmltrain can hold, read off the tables of options and commands: what completion in
// any shell is written from.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "launch/options/command_line.h"

namespace dml {

/// Whether a word may be a path, and of what.
enum class PathKind : std::uint8_t { none, file, folder };

struct OptionWord {
  std::string name;                  ///< "lr": `--lr`
  std::string value;                 ///< what stands for the value in --help; empty: a flag
  std::string help;                  ///< one line
  std::vector<std::string> choices;  ///< known values
  PathKind path = PathKind::none;
  bool is_list = false;  ///< several values, separated by commas
};

struct CommandWord {
  std::string name;                  ///< of one or two words; empty: training
  std::string summary;               ///< one line
  std::vector<OptionWord> options;   ///< its own
  std::vector<std::string> reads;    ///< names of the training_words() that it takes beside them
  std::vector<std::string> choices;  ///< known values of the arguments
  PathKind path = PathKind::none;    ///< of the arguments
};

/// Training's options and what every command line takes.
std::vector<OptionWord> training_words();

/// The commands. Those of two words stand first: a script that
/// looks for "submit" before "submit status" would never find the latter.
std::vector<CommandWord> command_words(std::span<const CommandSpec> commands);

/// What can follow `first` where that is the first word of commands; for an empty one the first words. In order, once.
std::vector<std::string> next_words(std::span<const CommandWord> commands, std::string_view first);

}  // namespace dml
