// Every option of dmltrain, once: its name on the command line and in a file, its place in Config, its help. Parsing,
// --help and config.toml are all read off this table.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/config.h"

namespace dml {

/// How an option stands in a TOML file. A flag has no value on the command line; a list can be given several times.
enum class OptionKind : std::uint8_t { text, number, flag, list };

struct OptionSpec {
  std::string name;   ///< "lr": `--lr` on the command line, `lr` in a file
  std::string group;  ///< heading in --help
  std::string value;  ///< what stands for the value in --help: "RATE"
  std::string help;
  OptionKind kind = OptionKind::text;
  /// Puts the values into a Config. Throws UsageError with what is wrong with them, without the option's name.
  std::function<void(Config&, std::span<const std::string>)> set;
  /// The values as `set` takes them; empty: nothing to write.
  std::function<std::vector<std::string>(const Config&)> get;
  /// What --help says of the default, where that is not the value itself.
  std::string otherwise;
  std::vector<std::string> choices = {};  ///< the values there are; empty where they have no list
};

/// In the order of --help.
std::span<const OptionSpec> option_table();
/// Null where there is none of that name.
const OptionSpec* find_option(std::string_view name);
/// All names, for suggestions.
std::vector<std::string_view> option_names();

}  // namespace dml
