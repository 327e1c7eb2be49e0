// Rewriting of graphs: what exporters spell out in many operations becomes the one that we have.
#pragma once

#include "models/graph.h"

namespace dml {

/// Simplifies a forward graph, before loss and gradients, after choose_trainable (only what does not train is folded or
/// matched): folds constants, fuses GELU and scaled-dot-product attention, moves Transposes into MatMul's flags and
/// drops dead nodes. Values that remain keep their ids and meaning.
void fuse(Graph& graph);

/// MatMul followed by Add of a vector over its columns becomes MatMul with bias. For training graphs, after the tensor
/// split; the Add's output keeps its id, and gradient nodes of both refer to the fused node.
void fuse_bias(Graph& graph);

}  // namespace dml
