// A Config as a TOML file: keys are the long option names, at the top level.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/config.h"

namespace dml {

/// One key of a file with its values as texts, and where it stands, for messages: "c.toml line 3".
struct FileEntry {
  std::string key;
  std::vector<std::string> values;
  std::string place;
  bool is_array = false;
};

/// The keys of a file, in its order. Throws UsageError that names file and line where it is no TOML, a key is unknown
/// (with the nearest known one), or a value is of a type that no option takes.
std::vector<FileEntry> read_config_file(const std::string& path);
/// The same from text; `name` stands for the file in messages.
std::vector<FileEntry> parse_config_text(const std::string& text, const std::string& name);

/// The keys of a file of a command's own, each with one value or an array of them. Throws UsageError as above; `keys`
/// are those that the command knows.
std::vector<FileEntry> read_command_file(const std::string& path, std::span<const std::string_view> keys);

/// Every option with its value, under the headings of --help; `--config` of it gives the same Config. `run` stands in
/// a comment: a replay makes a folder of its own.
std::string write_config(const Config& config);

}  // namespace dml
