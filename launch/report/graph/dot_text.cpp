#include "launch/report/graph/dot_text.h"

#include <fmt/format.h>

namespace dml {
namespace {

constexpr const char* kGraph =
    "bgcolor=\"#ffffff\"; labelloc=t; labeljust=l; nodesep=0.25; ranksep=0.35; pad=0.3; "
    "fontname=\"Helvetica,Arial,sans-serif\"; fontsize=13;\n"
    "node [fontname=\"Helvetica,Arial,sans-serif\", fontsize=11, style=filled, color=\"#8a94a6\", "
    "fillcolor=\"#ffffff\", margin=\"0.14,0.07\"];\n"
    "edge [color=\"#69748a\", arrowsize=0.6, fontname=\"Helvetica,Arial,sans-serif\", fontsize=10];\n";

std::string markup(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      default: escaped += c;
    }
  }
  return escaped;
}

std::string heading(const std::vector<Crumb>& crumbs, const std::vector<std::string>& lines) {
  std::string row;
  for (const Crumb& crumb : crumbs) {
    if (!row.empty()) row += "<TD>/</TD>";
    const std::string text = markup(crumb.text);
    row += crumb.file.empty() ? fmt::format("<TD><B>{}</B></TD>", text)
                              : fmt::format("<TD HREF=\"{}\" TITLE=\"up\"><U>{}</U></TD>", markup(crumb.file), text);
  }
  std::string table =
      "<TABLE BORDER=\"0\" CELLBORDER=\"0\" CELLSPACING=\"0\" CELLPADDING=\"3\"><TR><TD ALIGN=\"LEFT\"><TABLE "
      "BORDER=\"0\" CELLBORDER=\"0\" CELLSPACING=\"0\"><TR>" +
      row + "</TR></TABLE></TD></TR>";
  for (const std::string& line : lines)
    table += fmt::format("<TR><TD ALIGN=\"LEFT\"><FONT POINT-SIZE=\"11\">{}</FONT></TD></TR>", markup(line));
  return table + "</TABLE>";
}

}  // namespace

std::string dot_quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (c == '\n') {
      quoted += "\\n";
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

DotGraph::DotGraph(std::string_view direction, const std::vector<Crumb>& crumbs, const std::vector<std::string>& lines)
    : text_(fmt::format("digraph page {{\nrankdir={}; {}label=<{}>;\n", direction, kGraph, heading(crumbs, lines))) {}

void DotGraph::add(const DotNode& node) {
  text_ += fmt::format("{} [label={}, shape={}", dot_quoted(node.id), dot_quoted(node.label), node.shape);
  if (!node.fill.empty()) text_ += fmt::format(", fillcolor=\"{}\"", node.fill);
  if (!node.file.empty()) text_ += fmt::format(", URL={}", dot_quoted(node.file));
  text_ += fmt::format(", tooltip={}];\n", dot_quoted(node.tooltip.empty() ? node.label : node.tooltip));
}

void DotGraph::connect(std::string_view from, std::string_view to, std::string_view attributes) {
  text_ += fmt::format("{} -> {} [{}];\n", dot_quoted(from), dot_quoted(to), attributes);
}

void DotGraph::begin_cluster(std::string_view id, std::string_view label) {
  text_ += fmt::format("subgraph {} {{\nlabel={}; style=\"rounded\"; color=\"#c5ccd8\"; fontcolor=\"#4b5568\";\n",
                       dot_quoted(fmt::format("cluster_{}", id)), dot_quoted(label));
}

void DotGraph::end_cluster() { text_ += "}\n"; }

std::string DotGraph::finish() {
  text_ += "}\n";
  return std::move(text_);
}

}  // namespace dml
