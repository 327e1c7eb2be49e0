#include "launch/options/toml_file.h"

#include <fmt/format.h>

#include <string_view>

#include "launch/options/usage_error.h"

namespace dml {
namespace {

/// Of a key such as a.b.c. toml++ bounds the depth of values, but makes and frees a table for each part by recursion.
constexpr int kMostKeyParts = 256;

void refuse_deep_keys(const std::string& text, const std::string& name) {
  constexpr std::string_view kBeginAKey = "\n=,{}[]";
  int line = 1, parts = 1;
  for (const char c : text) {
    if (c == '\n') ++line;
    if (kBeginAKey.find(c) != std::string_view::npos) parts = 1;
    if (c == '.' && ++parts > kMostKeyParts)
      throw UsageError(fmt::format("{} line {}: a key of more than {} parts", name, line, kMostKeyParts));
  }
}

}  // namespace

toml::table parse_toml(const std::string& text, const std::string& name) {
  refuse_deep_keys(text, name);
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    throw UsageError(fmt::format("{} line {}: {}", name, error.source().begin.line, error.description()));
  }
}

}  // namespace dml
