// One page in Graphviz's DOT language: nodes that link to other pages, edges, clusters, and a heading with the way
// back.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dml {

/// A word of the heading: where it leads, or nowhere.
struct Crumb {
  std::string text;
  std::string file;  ///< empty: no link
};

struct DotNode {
  std::string id;
  std::string label;    ///< lines, by '\n'
  std::string shape;    ///< "box", "box3d", "oval", "plain", ...
  std::string fill;     ///< "#rrggbb"; empty: none
  std::string file;     ///< page that it leads to, or empty
  std::string tooltip;  ///< shown where a pointer rests
};

class DotGraph {
 public:
  /// `direction`: "TB" or "LR". The lines stand under the crumbs.
  DotGraph(std::string_view direction, const std::vector<Crumb>& crumbs, const std::vector<std::string>& lines);

  void add(const DotNode& node);
  /// `attributes` as DOT writes them: "style=dashed, constraint=false".
  void connect(std::string_view from, std::string_view to, std::string_view attributes = "");
  void begin_cluster(std::string_view id, std::string_view label);
  void end_cluster();
  /// The whole graph; nothing may be added behind it.
  std::string finish();

 private:
  std::string text_;
};

/// As a quoted string of DOT; newlines stay lines.
std::string dot_quoted(std::string_view text);

}  // namespace dml
