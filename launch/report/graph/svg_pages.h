// The task graph as a tree of pages in DOT: the replicas, in each the stages, in each the layers, in each the
// operations.
#pragma once

#include <string>
#include <vector>

#include "launch/report/graph/drawing.h"

namespace dml {

/// Stands for the number of the replica in pages that replicas share: a character that no name holds.
inline constexpr std::string_view kReplicaMark = "\xee\x80\x80";

/// A page's picture before layout. Pages of replicas that run the same program have equal texts.
struct SvgPage {
  std::string file;  ///< "data_0_detail.svg"
  std::string dot;   ///< with kReplicaMark for `replica`
  int replica = 0;
};

/// interactive_high_level.svg, gradient_all_reduce_detail.svg, and per replica d data_{d}_detail.svg,
/// stage_{s}_data_{d}_detail.svg, layer_{l}_data_{d}_detail.svg and send_recv_stage_{a}_to_{b}_data_{d}_detail.svg.
/// Every link leads to one of them, and all are reached from the first.
std::vector<SvgPage> svg_pages(const Drawing& drawing);

}  // namespace dml
