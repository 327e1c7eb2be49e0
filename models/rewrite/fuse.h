// Rewriting of graphs: what exporters spell out in many operations becomes the one that we have.
#pragma once

#include "models/graph.h"

namespace dml {

/// Simplifies a forward graph, before loss and gradients, after choose_trainable (only what does not train is folded or
/// matched): folds constants, fuses GELU and scaled-dot-product attention, moves Transposes into MatMul's flags and
/// drops dead nodes. Values that remain keep their ids and meaning.
void fuse(Graph& graph);

}  // namespace dml
