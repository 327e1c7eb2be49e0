#include "launch/options/toml_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "launch/options/usage_error.h"

namespace dml {
namespace {

/// Of a key such as a.b.c. toml++ bounds the depth of values, but makes and frees a table for each part by recursion.
constexpr int kMostKeyParts = 256;

/// Where the comment or the quoted string that begins at `at` is over. One that has no end is for toml++ to refuse.
std::size_t end_of_skipped(std::string_view text, std::size_t at) {
  const char mark = text[at];
  if (mark == '#') return std::min(text.find('\n', at), text.size());
  const std::string three(3, mark);
  const bool is_long = text.substr(at).starts_with(three);
  const std::string_view close = is_long ? std::string_view(three) : text.substr(at, 1);
  for (at += close.size(); at < text.size() && !text.substr(at).starts_with(close); ++at) {
    if (text[at] == '\n' && !is_long) return at;
    if (text[at] == '\\' && mark == '"') ++at;
  }
  at = std::min(at + close.size(), text.size());
  // Up to two quotes can stand before the three that close.
  for (int own = 0; own < 2 && is_long && at < text.size() && text[at] == mark; ++own) ++at;
  return at;
}

/// A quoted string is one part, whatever is in it.
void refuse_deep_keys(std::string_view text, const std::string& name) {
  constexpr std::string_view kSkipped = "#\"'";
  constexpr std::string_view kBeginAKey = "\n=,{}[]";
  int parts = 1;
  for (std::size_t at = 0; at < text.size();) {
    if (kSkipped.find(text[at]) != std::string_view::npos) {
      at = end_of_skipped(text, at);
      continue;
    }
    if (kBeginAKey.find(text[at]) != std::string_view::npos) parts = 1;
    if (text[at] == '.' && ++parts > kMostKeyParts) {
      const auto line = 1 + std::ranges::count(text.substr(0, at), '\n');
      throw UsageError(fmt::format("{} line {}: a key of more than {} parts", name, line, kMostKeyParts));
    }
    ++at;
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
