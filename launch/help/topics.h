// The texts of `dmltrain help TOPIC`: the Markdown files of this folder, part of the program.
#pragma once

#include <span>
#include <string_view>

namespace dml {

struct HelpTopic {
  std::string_view name;      ///< of the file, without .md
  std::string_view markdown;  ///< its text; the first line is "# Title"
};

/// In order of name.
std::span<const HelpTopic> help_topics();

}  // namespace dml
