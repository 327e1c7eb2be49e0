// The single steps of `fuse`. Each leaves replaced nodes dead; remove_unused drops them.
#pragma once

#include "models/graph.h"

namespace dml {

/// Computes nodes of floats and booleans whose inputs are all known constants; their outputs become constants.
void fold_constants(Graph& graph);
/// x/2 (1 + erf(x / sqrt 2)) and x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), however they are multiplied out.
void fuse_gelu(Graph& graph);
/// softmax(scale q k^T + mask) v with heads split by Reshape and Transpose, and merged again.
void fuse_attention(Graph& graph);
/// A Transpose of the last two dims becomes a flag of the MatMul that reads it.
void fold_transposes(Graph& graph);
/// Drops nodes that neither a result of the graph nor a node that is kept needs.
void remove_unused(Graph& graph);

}  // namespace dml
