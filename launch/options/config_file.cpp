#include "launch/options/config_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string_view>

#include "launch/options/nearest.h"
#include "launch/options/option_makers.h"
#include "launch/options/toml_file.h"
#include "launch/options/usage_error.h"

namespace dml {
namespace {

std::string place_of(const toml::node& node, const std::string& name) {
  return fmt::format("{} line {}", name, node.source().begin.line);
}

std::string text_of(const toml::node& node, const std::string& place, std::string_view key) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* number = node.as_floating_point()) return write_real(number->get());
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  throw UsageError(fmt::format("{}: {} has a value that is neither text, number, true or false", place, key));
}

std::vector<std::string> texts_of(const toml::node& node, const std::string& place, std::string_view key) {
  const auto* array = node.as_array();
  if (array == nullptr) return {text_of(node, place, key)};
  std::vector<std::string> texts;
  for (const toml::node& element : *array) texts.push_back(text_of(element, place, key));
  return texts;
}

FileEntry entry_of(std::string_view key, const toml::node& node, const std::string& name,
                   std::span<const std::string_view> keys) {
  const std::string place = place_of(node, name);
  if (node.is_table()) {
    throw UsageError(
        fmt::format("{}: [{}] is a table; the options stand at the top level, without headings", place, key));
  }
  if (std::find(keys.begin(), keys.end(), key) == keys.end())
    throw UsageError(fmt::format("{}: unknown key '{}'{}", place, key, did_you_mean(key, keys)));
  return {std::string(key), texts_of(node, place, key), place, node.is_array()};
}

std::vector<FileEntry> parse_entries(const std::string& text, const std::string& name,
                                     std::span<const std::string_view> keys) {
  std::vector<FileEntry> entries;
  const toml::table table = parse_toml(text, name);
  for (const auto& [key, node] : table) entries.push_back(entry_of(key.str(), node, name, keys));
  return entries;
}

std::string text_of_file(const std::string& path, std::string_view named) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf()))
    throw UsageError(fmt::format("{}{}: there is no such file, it is empty, or it cannot be read", named, path));
  return text.str();
}

/// TOML's basic strings are JSON's.
std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string written(const OptionSpec& spec, const std::vector<std::string>& texts) {
  if (spec.kind == OptionKind::list) {
    std::vector<std::string> elements;
    std::transform(texts.begin(), texts.end(), std::back_inserter(elements), quoted);
    return fmt::format("[{}]", fmt::join(elements, ", "));
  }
  const bool bare = spec.kind == OptionKind::flag || (spec.kind == OptionKind::number && texts.front() != kAuto);
  return bare ? texts.front() : quoted(texts.front());
}

}  // namespace

std::vector<FileEntry> parse_config_text(const std::string& text, const std::string& name) {
  std::vector<FileEntry> entries = parse_entries(text, name, option_names());
  for (const FileEntry& entry : entries) {
    if (entry.is_array && find_option(entry.key)->kind != OptionKind::list)
      throw UsageError(fmt::format("{}: {} takes one value, not an array", entry.place, entry.key));
  }
  return entries;
}

std::vector<FileEntry> read_config_file(const std::string& path) {
  return parse_config_text(text_of_file(path, "--config "), path);
}

std::vector<FileEntry> read_command_file(const std::string& path, std::span<const std::string_view> keys) {
  return parse_entries(text_of_file(path, ""), path, keys);
}

std::string write_config(const Config& config) {
  std::string text = "# Everything that this run was told. Replay: dmltrain --config THIS_FILE\n";
  std::string_view group;
  for (const OptionSpec& spec : option_table()) {
    if (spec.group != group) text += fmt::format("\n# {}\n", spec.group);
    group = spec.group;
    const std::vector<std::string> values = spec.get(config);
    if (values.empty() && spec.kind != OptionKind::list) continue;
    text += fmt::format("{}{} = {}\n", spec.name == "run" ? "# " : "", spec.name, written(spec, values));
  }
  return text;
}

}  // namespace dml
