#include "launch/shell/man_page.h"

#include <fmt/format.h>

#include <algorithm>

#include "launch/help/topics.h"
#include "launch/help_page.h"
#include "launch/options/option_table.h"
#include "launch/shell/roff.h"
#include "launch/version.h"

namespace dml {
namespace {

std::string upper(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c; });
  return out;
}

/// An option and its help, indented below it.
std::string man_option(std::string_view name, std::string_view value, std::string_view help) {
  const std::string shown = value.empty() ? "" : fmt::format(" \\fI{}\\fR", roff_text(value));
  return fmt::format(".TP\n\\fB\\-\\-{}\\fR{}\n{}\n", roff_text(name), shown, roff_text(help));
}

std::string man_synopsis(std::span<const CommandSpec> commands) {
  std::string text = ".SH SYNOPSIS\n.nf\n";
  for (const std::string_view line : {"dmltrain [OPTIONS]", "mpirun -np N dmltrain [OPTIONS]"}) {
    text += roff_text(line) + "\n";
  }
  for (const CommandSpec& command : commands) text += roff_text(usage_of(command)) + "\n";
  return text + ".fi\n";
}

std::string man_options() {
  std::string text = ".SH OPTIONS\n";
  std::string group;
  for (const OptionSpec& spec : option_table()) {
    if (spec.group != group) text += fmt::format(".SS {}\n", roff_text(spec.group));
    group = spec.group;
    text += man_option(spec.name, spec.value, help_of(spec));
  }
  text += ".SS Everywhere\n";
  for (const OwnOption& common : common_options()) text += man_option(common.name, common.value, common.help);
  return text;
}

std::string man_commands(std::span<const CommandSpec> commands) {
  std::string text = ".SH COMMANDS\nThey take the options of training too, where those say what a command is about.\n";
  for (const CommandSpec& command : commands) {
    text += fmt::format(".SS {}\n{}\n", roff_text(usage_of(command)), roff_text(command.summary));
    for (const OwnOption& own : command.options) text += man_option(own.name, own.value, own.help);
  }
  return text;
}

std::string man_examples() {
  std::string text = ".SH EXAMPLES\n";
  for (const HelpExample& example : help_examples()) {
    text += fmt::format(".TP\n{}:\n{}\n", roff_text(example.does), roff_text(example.command));
  }
  return text;
}

std::string man_topics() {
  std::string text;
  for (const HelpTopic& topic : help_topics()) {
    text += fmt::format(".SH {}\n{}", upper(topic.name), roff_of_markdown(topic.markdown));
  }
  return text;
}

}  // namespace

std::string man_page(std::span<const CommandSpec> commands) {
  // Ragged and without hyphens: the words of a command line stay whole, and no line is stretched.
  std::string text = fmt::format(".TH DMLTRAIN 1 \"\" \"{}\"\n.ad l\n.nh\n", roff_text(version_text()));
  text += fmt::format(".SH NAME\ndmltrain \\- {}\n", "trains ONNX models over many ranks");
  text += man_synopsis(commands);
  text += fmt::format(".SH DESCRIPTION\n{}\n.PP\n{}\n", roff_text(kHelpSummary), roff_text(preset_text()));
  text += man_options() + man_commands(commands);
  text += fmt::format(".SH EXIT STATUS\n{}\n", roff_text(kHelpExitCodes));
  return text + man_examples() + man_topics();
}

}  // namespace dml
