// Where a model's parameters and work are, by layer.
#pragma once

#include <string>
#include <string_view>

#include "launch/terminal/style.h"
#include "models/graph.h"

namespace dml {

/// Parameters, FLOPs and bytes of one forward pass, by layer. A parameter belongs to the first layer that reads it.
std::string layer_table(const Graph& graph, Style style);

/// The layer that a node of this scope is in: the component behind the `num_common` first ones, and a number that
/// follows it: "blocks.0" of "blocks/0/attn"; or a numbered one that follows it: "layers.0" of "model/layers.0/attn".
/// "(other)" where there is none.
std::string layer_of(std::string_view scope, std::size_t num_common);
/// How many leading components all scopes of the graph share; the last component of a scope is never among them.
std::size_t common_components(const Graph& graph);

}  // namespace dml
