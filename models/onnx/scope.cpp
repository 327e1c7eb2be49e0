// Module paths of nodes.
#include <optional>

#include "models/onnx/later_fields.h"
#include "models/onnx/node.h"

namespace dml {
namespace {

constexpr std::string_view kScopesKey = "pkg.torch.onnx.name_scopes";

std::optional<std::string> metadata(const onnx::NodeProto& node, std::string_view key) {
  for (const std::string& bytes : messages_of<MetadataField>(node)) {
    onnx::StringStringEntryProto entry;
    if (entry.ParseFromString(bytes) && entry.key() == key) return entry.value();
  }
  return std::nullopt;
}

/// The quoted items of "['', 'blocks.0', 'blocks.0.attn', 'linear']".
std::vector<std::string> quoted_items(const std::string& list) {
  std::vector<std::string> items;
  std::size_t at = 0;
  while ((at = list.find_first_of("'\"", at)) != std::string::npos) {
    const std::size_t end = list.find(list[at], at + 1);
    if (end == std::string::npos) break;
    items.push_back(list.substr(at + 1, end - at - 1));
    at = end + 1;
  }
  return items;
}

/// Each item but the last, which is the operation, names a module by its whole path; what it adds to the one before is
/// one part of the scope.
std::string scope_of_items(const std::vector<std::string>& items) {
  std::string scope;
  std::string outer;
  for (std::size_t i = 0; i + 1 < items.size(); ++i) {
    const std::string& item = items[i];
    if (item.empty()) continue;
    const bool is_inside = !outer.empty() && item.starts_with(outer + ".");
    if (!scope.empty()) scope += '/';
    scope += is_inside ? item.substr(outer.size() + 1) : item;
    outer = item;
  }
  return scope;
}

}  // namespace

std::string scope_of(const onnx::NodeProto& node) {
  const std::string& name = node.name();
  const std::size_t slash = name.rfind('/');
  if (slash != std::string::npos) {
    const std::size_t first = name.front() == '/' ? 1 : 0;
    return slash > first ? name.substr(first, slash - first) : "";
  }
  const auto scopes = metadata(node, kScopesKey);
  return scopes.has_value() ? scope_of_items(quoted_items(*scopes)) : "";
}

}  // namespace dml
