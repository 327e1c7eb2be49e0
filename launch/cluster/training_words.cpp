#include "launch/cluster/training_words.h"

#include <algorithm>

#include "launch/options/option_table.h"
#include "launch/options/preset.h"

namespace dml {
namespace {

constexpr std::string_view kAxes[] = {"d", "p", "t"};
constexpr std::string_view kOfTheRunFolder[] = {"run", "resume"};

bool is_among(std::string_view name, std::span<const std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// What a command line starts from that names neither model nor data where they are the preset's.
Config base_of(const Config& config) {
  Config base = preset();
  const bool is_preset =
      config.model.source == base.model.source && config.data.source == base.data.source && config.model.shards.empty();
  if (!is_preset) base = Config{};
  if (!config.layout.plan.empty()) unset_planned(base.layout);
  return base;
}

void add_words(std::vector<OptionWords>& words, const OptionSpec& spec, const std::vector<std::string>& values) {
  if (spec.kind == OptionKind::flag) {
    words.push_back({"--" + spec.name});
    return;
  }
  for (const std::string& value : values) words.push_back({"--" + spec.name, value});
}

}  // namespace

std::vector<OptionWords> training_words(const Config& config) {
  const Config base = base_of(config);
  std::vector<OptionWords> words;
  for (const std::string_view axis : kAxes) {
    const OptionSpec& spec = *find_option(axis);
    add_words(words, spec, spec.get(config));
  }
  for (const OptionSpec& spec : option_table()) {
    if (is_among(spec.name, kAxes) || is_among(spec.name, kOfTheRunFolder)) continue;
    const std::vector<std::string> values = spec.get(config);
    if (values != spec.get(base)) add_words(words, spec, values);
  }
  return words;
}

}  // namespace dml
