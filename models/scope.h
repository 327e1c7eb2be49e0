// The layers of a model, by the module paths of its nodes.
#pragma once

#include <string>
#include <string_view>

#include "models/graph.h"

namespace dml {

/// The layer that a node of this scope is in: the component behind the `num_common` first ones, and a number that
/// follows it: "blocks.0" of "blocks/0/attn"; or a numbered one that follows it: "layers.0" of "model/layers.0/attn".
/// "(other)" where there is none.
std::string layer_of(std::string_view scope, std::size_t num_common);
/// How many leading components all scopes of the graph share; the last component of a scope is never among them.
std::size_t common_components(const Graph& graph);

}  // namespace dml
