// What a product with an epilogue computes, told as the operations of the Graph that it stands for: a proof reads
// those.
#pragma once

#include <vector>

#include "models/graph.h"

namespace dml {

/// An operation of a divided graph, and the node of the whole Graph that it is said to compute.
struct OperationPart {
  Node node;
  NodeId origin = kNone;
};

/// The operations that `node` of the divided graph, filed under `origin`, takes together, in the order of computation;
/// those between them have the values of the whole Graph as outputs. The node alone where it has no epilogue that the
/// whole node lacks, or where the whole Graph has no such operations.
std::vector<OperationPart> parts_of(const Graph& whole, const Graph& divided, const Node& node, NodeId origin);

}  // namespace dml
