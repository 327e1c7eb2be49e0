// Recomputation as nodes of the graph: what tasks, prices, lifetimes and pictures are made of.
#pragma once

#include "parallel/techniques/techniques.h"

namespace dml {

/// The training graph with copies of forward nodes in Phase::recompute, which stand before the first gradient node that
/// needs them, all of a layer (or of an attention) together. Gradients read the copies' outputs in place of the
/// originals, which so live until the forward pass is over. What other layers read is kept. Layers are those of the
/// nodes' scopes (models/scope.h). Attention that is one operation keeps no scores: there is nothing to recompute.
Graph with_recomputation(Graph graph, Recompute recompute);

}  // namespace dml
