#include "models/scope.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

namespace dml {
namespace {

std::vector<std::string_view> components_of(std::string_view scope) {
  std::vector<std::string_view> parts;
  while (!scope.empty()) {
    const std::size_t end = std::min(scope.find('/'), scope.size());
    if (end > 0) parts.push_back(scope.substr(0, end));
    scope.remove_prefix(std::min(end + 1, scope.size()));
  }
  return parts;
}

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// "layers.0"
bool is_numbered(std::string_view text) {
  const std::size_t dot = text.rfind('.');
  return dot != std::string_view::npos && is_number(text.substr(dot + 1));
}

}  // namespace

std::size_t common_components(const Graph& graph) {
  std::optional<std::vector<std::string_view>> common;
  for (const Node& node : graph.nodes()) {
    auto parts = components_of(node.scope);
    if (parts.empty()) continue;
    // The last component stays: a layer needs a name.
    parts.pop_back();
    if (!common) common = parts;
    const auto differ = std::mismatch(common->begin(), common->end(), parts.begin(), parts.end());
    common->erase(differ.first, common->end());
  }
  return common ? common->size() : 0;
}

std::string layer_of(std::string_view scope, std::size_t num_common) {
  const auto parts = components_of(scope);
  if (parts.size() <= num_common) return "(other)";
  if (parts.size() > num_common + 1) {
    const std::string_view next = parts[num_common + 1];
    if (is_number(next)) return fmt::format("{}.{}", parts[num_common], next);
    if (is_numbered(next) && !is_numbered(parts[num_common])) return std::string(next);
  }
  return std::string(parts[num_common]);
}

}  // namespace dml
