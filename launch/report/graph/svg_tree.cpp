#include "launch/report/graph/svg_tree.h"

#include <map>

#include "launch/report/graph/graphviz.h"
#include "launch/report/graph/svg_pages.h"

namespace dml {
namespace {

/// Colours of a dark page; text and lines have theirs, filled shapes stay as they are.
constexpr std::string_view kStyle =
    "<style>@media (prefers-color-scheme: dark) {"
    " svg { background: #15181e; }"
    " .graph > polygon { fill: #15181e; }"
    " .graph > text, .graph > g > text, .graph > g > a > text, .cluster text, .edge text { fill: #d5dae3; }"
    " .node polygon[fill='none'] ~ text, .node.plain text { fill: #d5dae3; }"
    " .edge path { stroke: #8e9aaf; } .edge polygon { fill: #8e9aaf; stroke: #8e9aaf; }"
    " .cluster path { stroke: #3b4456; } }"
    " a:hover polygon, a:hover path, a:hover ellipse { stroke: #1f6feb; stroke-width: 2; }</style>\n";

/// With the style as the first thing in the picture.
std::string styled(const std::string& svg) {
  const std::size_t begin = svg.find("<g id=\"graph0\"");
  return begin == std::string::npos ? svg : svg.substr(0, begin) + std::string(kStyle) + svg.substr(begin);
}

std::string of_replica(const std::string& svg, int replica) {
  const std::string number = std::to_string(replica);
  std::string text;
  std::size_t begin = 0;
  for (std::size_t at = svg.find(kReplicaMark); at != std::string::npos; at = svg.find(kReplicaMark, begin)) {
    text.append(svg, begin, at - begin).append(number);
    begin = at + kReplicaMark.size();
  }
  return text.append(svg, begin);
}

}  // namespace

std::vector<OutputFile> svg_tree(const Drawing& drawing) {
  const std::vector<SvgPage> pages = svg_pages(drawing);
  std::map<std::string_view, std::size_t> index;
  std::vector<std::string> distinct;
  for (const SvgPage& page : pages) {
    if (index.emplace(page.dot, distinct.size()).second) distinct.push_back(page.dot);
  }
  std::vector<std::string> pictures = layout_graphs(distinct);
  for (std::string& picture : pictures) picture = styled(picture);
  std::vector<OutputFile> files;
  files.reserve(pages.size());
  for (const SvgPage& page : pages)
    files.push_back({page.file, of_replica(pictures[index.at(page.dot)], page.replica)});
  return files;
}

}  // namespace dml
