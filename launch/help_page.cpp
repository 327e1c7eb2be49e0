#include "launch/help_page.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "launch/failure.h"
#include "launch/help/topics.h"
#include "launch/options/nearest.h"
#include "launch/options/option_table.h"
#include "launch/options/preset.h"
#include "launch/options/usage_error.h"
#include "launch/terminal/terminal.h"
#include "launch/version.h"

namespace dml {
namespace {

constexpr std::size_t kWidth = 100;
constexpr std::size_t kHelpColumn = 26;

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  for (std::size_t begin = 0, end = 0; begin < text.size(); begin = end + 1) {
    end = std::min(text.find(' ', begin), text.size());
    if (end > begin) words.emplace_back(text.substr(begin, end - begin));
  }
  return words;
}

/// `text` in lines that begin at `column`; the first continues a line that is there already.
std::string wrapped(std::string_view text, std::size_t column) {
  std::string out;
  std::size_t at = column;
  for (const std::string& word : words_of(text)) {
    if (at > column && at + 1 + display_width(word) > kWidth) {
      out += "\n" + std::string(column, ' ');
      at = column;
    }
    if (at > column) out += ' ';
    out += word;
    at += display_width(word) + 1;
  }
  return out;
}

/// What --help puts in brackets: the default in words, or the value itself; empty where there is none.
std::string default_of(const OptionSpec& spec) {
  if (!spec.otherwise.empty()) return spec.otherwise;
  if (spec.kind == OptionKind::flag || spec.kind == OptionKind::list) return "";
  return fmt::format("{}", fmt::join(spec.get(Config{}), ","));
}

std::string entry(const std::string& name, const std::string& value, std::string_view help, Style style) {
  const std::string plain = value.empty() ? name : name + " " + value;
  const std::string shown = value.empty() ? style.option(name) : style.option(name) + " " + value;
  std::string text = "  " + shown;
  // A name that reaches into the column of the help has a line of its own.
  const std::size_t end = 2 + display_width(plain);
  text += end < kHelpColumn ? std::string(kHelpColumn - end, ' ') : "\n" + std::string(kHelpColumn, ' ');
  return text + wrapped(help, kHelpColumn) + "\n";
}

std::string option_groups(Style style) {
  std::string text;
  std::string group;
  for (const OptionSpec& spec : option_table()) {
    if (spec.group != group) text += "\n" + style.heading(spec.group) + "\n";
    group = spec.group;
    text += entry("--" + spec.name, spec.value, help_of(spec), style);
    if (spec.name == "dump") {
      const OwnOption& config = common_options().front();
      text += entry(fmt::format("--{}", config.name), std::string(config.value), config.help, style);
    }
  }
  return text;
}

std::string usage(std::span<const CommandSpec> commands, Style style) {
  std::string text = style.heading("Usage") + "\n";
  const auto line = [&](std::string_view command, std::string_view does) {
    text += fmt::format("  {:<58}{}\n", command, does);
  };
  line("dmltrain [OPTIONS]", "trains; ranks are threads");
  line("mpirun -np N dmltrain [OPTIONS]", "trains; ranks are processes");
  for (const CommandSpec& command : commands) {
    line(usage_of(command), command.summary);
  }
  line("dmltrain COMMAND --help", "what a command takes");
  line("dmltrain --version", "");
  text.erase(text.find_last_not_of(" \n") + 1);
  return text + "\n";
}

std::string examples(Style style) {
  std::string text = "\n" + style.heading("Examples") + "\n";
  for (const HelpExample& example : help_examples()) {
    text += fmt::format("  {}\n    {}\n", style.faint(fmt::format("# {}", example.does)), example.command);
  }
  return text;
}

/// `code` and **strong** inside a line.
std::string render_inline(std::string_view line, Style style) {
  std::string out;
  while (!line.empty()) {
    const bool code = line.starts_with('`'), strong = line.starts_with("**");
    const std::string_view mark = code ? "`" : "**";
    const std::size_t end = code || strong ? line.find(mark, mark.size()) : std::string_view::npos;
    if (end == std::string_view::npos) {
      out += line.front();
      line.remove_prefix(1);
      continue;
    }
    const std::string_view inner = line.substr(mark.size(), end - mark.size());
    out += code ? style.option(inner) : style.strong(inner);
    line.remove_prefix(end + mark.size());
  }
  return out;
}

std::string_view title_of(std::string_view markdown) {
  const std::string_view line = markdown.substr(0, markdown.find('\n'));
  return line.substr(std::min(line.find_first_not_of("# "), line.size()));
}

std::string topic_list(Style style) {
  std::string text = style.heading("Topics") + " (dmltrain help TOPIC)\n";
  for (const HelpTopic& topic : help_topics()) {
    text += fmt::format("  {}{}{}\n", style.option(topic.name),
                        std::string(14 - std::min<std::size_t>(topic.name.size(), 13), ' '), title_of(topic.markdown));
  }
  return text;
}

}  // namespace

std::span<const HelpExample> help_examples() {
  static constexpr HelpExample kExamples[] = {
      {"the built-in GPT on eight ranks, as processes or as threads", "mpirun -np 8 dmltrain --d 2 --p 2 --t 2"},
      {"the same in one process, without MPI", "dmltrain --d 2 --p 2 --t 2"},
      {"a model and data of your own",
       "dmltrain --model m.onnx --data text:book.txt --batch 32 --steps 1000 --save trained.onnx"},
      {"a run again, with another learning rate", "dmltrain --config runs/2026-01-31_12-00-00/config.toml --lr 1e-3"},
      {"a model that splits over a pipeline of four", "mpirun -np 4 dmltrain --p 4 --microbatches 8 --schedule 1f1b"},
  };
  return kExamples;
}

std::string help_of(const OptionSpec& spec) {
  const std::string otherwise = default_of(spec);
  return otherwise.empty() ? spec.help : fmt::format("{} [{}]", spec.help, otherwise);
}

std::string usage_of(const CommandSpec& command) { return fmt::format("dmltrain {} [OPTIONS]", command.usage()); }

std::string preset_text() {
  std::string text = "Without --model and --data it trains a small GPT on a built-in English text, as by";
  for (const OptionSpec& spec : option_table()) {
    const auto values = spec.get(preset());
    if (values != spec.get(Config{})) text += fmt::format(" --{} {}", spec.name, fmt::join(values, ","));
  }
  return text + ".";
}

std::string help_page(std::span<const CommandSpec> commands, Style style) {
  std::string text = fmt::format("{}\n{}\n\n", style.strong(version_text()), kHelpSummary);
  text += usage(commands, style);
  text += "\n" + wrapped(preset_text(), 0) + "\n";
  text += option_groups(style);
  text += fmt::format("\n{}\n  {}\n", style.heading("Exit codes"), wrapped(kHelpExitCodes, 2));
  return text + examples(style);
}

std::string command_page(const CommandSpec& command, Style style) {
  std::string text = fmt::format("{}: {}\n\n{}\n  {}\n", style.strong(command.name), command.summary,
                                 style.heading("Usage"), usage_of(command));
  if (!command.options.empty()) text += "\n" + style.heading("Its own options") + "\n";
  for (const OwnOption& own : command.options) {
    text += entry(fmt::format("--{}", own.name), std::string(own.value), own.help, style);
  }
  if (command.reads.empty()) return text;
  const std::string reads =
      fmt::format("Of training's options it reads {}: dmltrain --help lists them.", command.reads_text());
  return text + "\n" + wrapped(reads, 0) + "\n";
}

std::string render_markdown(std::string_view markdown, Style style) {
  if (!style.colour) return std::string(markdown);
  std::string out;
  bool fenced = false;
  while (!markdown.empty()) {
    const std::size_t end = std::min(markdown.find('\n'), markdown.size());
    const std::string_view line = markdown.substr(0, end);
    markdown.remove_prefix(std::min(end + 1, markdown.size()));
    if (line.starts_with("```")) {
      fenced = !fenced;
      continue;
    }
    if (fenced) {
      out += "  " + style.option(line);
    } else if (line.starts_with('#')) {
      out += style.heading(line.substr(std::min(line.find_first_not_of("# "), line.size())));
    } else {
      out += render_inline(line, style);
    }
    out += '\n';
  }
  return out;
}

std::string help_topic(const std::string& name, Style style) {
  if (name.empty()) return topic_list(style);
  std::vector<std::string_view> names;
  for (const HelpTopic& topic : help_topics()) {
    if (topic.name == name) return render_markdown(topic.markdown, style);
    names.push_back(topic.name);
  }
  throw UsageError(fmt::format("help: there is no topic '{}'{}; topics are: {}", name, did_you_mean(name, names),
                               fmt::join(names, ", ")));
}

CommandSpec help_command() {
  return {.name = "help",
          .arguments = "[TOPIC]",
          .summary = "layouts, data, definitions, ...",
          .most_arguments = 1,
          .run = [](const Command& command, Terminal& terminal) {
            terminal.print(help_topic(command.arguments.empty() ? "" : command.arguments.front(), terminal.style()));
            return exit_code::kDone;
          }};
}

}  // namespace dml
