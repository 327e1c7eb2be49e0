// From the words of a command line to one value that says all: what to do, and the Config to do it with.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "launch/options/option_table.h"
#include "launch/options/usage_error.h"
#include "runtime/config.h"

namespace dml {

class Terminal;
struct Command;

/// An option that one command has beside those of training; one of the same name goes over training's.
struct OwnOption {
  std::string_view name;   ///< "out": `--out`
  std::string_view value;  ///< what stands for the value in --help; empty: a flag
  std::string_view help;
  bool is_list = false;  ///< can be given several times
};

/// What the command line takes everywhere beside the option table: --config, --help, --version.
std::span<const OwnOption> common_options();

/// `dmltrain NAME ARGUMENTS [OPTIONS]`: all that is no training.
struct CommandSpec {
  std::string_view name;       ///< of one or two words: "model show"
  std::string_view arguments;  ///< as usage says them: "FILE|NAME"
  std::string_view summary;    ///< at most 30 characters
  std::size_t least_arguments = 0, most_arguments = 0;
  bool on_preset = false;      ///< without a model it takes training's preset
  bool on_every_rank = false;  ///< under a launcher all processes run it; otherwise the first alone
  /// Which of training's options it reads, by group ("Model") or by name ("seed"); others are refused on its line. A
  /// file of --config may hold any.
  std::vector<std::string_view> reads = {};
  std::vector<OwnOption> options = {};
  /// Does it; the exit code of the program. Throws what goes wrong.
  int (*run)(const Command& command, Terminal& terminal) = nullptr;

  std::string usage() const;  ///< the name and the arguments
  /// Whether it reads this one of training's options.
  bool reads_option(const OptionSpec& option) const;
  /// What it reads of training's options, in words; empty where that is nothing.
  std::string reads_text() const;
};

/// What to do, with what.
struct Command {
  enum class Wish : std::uint8_t { run, help, version };
  Wish wish = Wish::run;
  const CommandSpec* spec = nullptr;  ///< null: trains
  Config config;                      ///< of all training's options
  std::vector<std::string> arguments;
  std::vector<std::string> given;                                    ///< training's options that the command line names
  std::map<std::string, std::vector<std::string>, std::less<>> own;  ///< options of the command alone, as given

  bool has(std::string_view option) const { return own.contains(option); }
  /// The last value of one of the command's own options.
  std::string text(std::string_view option, std::string_view otherwise = "") const;
  /// Throws UsageError with the first of `given` where there is any, and `why` the command has no use for it here.
  void refuse_given(std::string_view why) const;
  /// The same of those alone that `options` names.
  void refuse_given(std::string_view why, std::span<const std::string_view> options) const;
};

/// Reads the command line over the file of --config over the defaults; the built-in preset is below both where neither
/// a model nor data nor shards are given. Throws UsageError with one line that names the word or key, its place, and
/// what would do. `commands` must outlive the result.
Command parse_command_line(std::span<const std::string> arguments, std::span<const CommandSpec> commands);

}  // namespace dml
