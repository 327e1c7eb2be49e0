// From the words of a command line to one value that says all: what to do, and the Config to do it with.
#pragma once

#include <span>
#include <string>

#include "launch/options/usage_error.h"
#include "runtime/config.h"

namespace dml {

enum class Action : std::uint8_t { train, help_page, version, help_topic, model_show, model_export, model_partition };

struct Command {
  Action action = Action::train;
  Config config;             ///< for the model commands, config.model.source is their FILE or NAME
  std::string topic;         ///< of help; empty: the list of topics
  std::string output;        ///< file of model export, folder of model partition
  bool with_weights = true;  ///< of model export
};

/// Reads the command line over the file of --config over the defaults; the built-in preset is below both where neither
/// a model nor data nor shards are given. Throws UsageError with one line that names the word or key, its place, and
/// what would do.
Command parse_command_line(std::span<const std::string> arguments);

}  // namespace dml
