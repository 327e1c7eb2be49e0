// A Graph as an ONNX file, operation by operation: what one rank runs of it are nodes of the domain "dmltrain" (the
// operations of models/ops/README.md, and messages between ranks), in the order in which they can run.
//
// Beside its own attributes a node of the graph has dml_id (its number), dml_phase (a letter), dml_forward (the node
// that it differentiates, or -1) and dml_scope. A real attribute is FLOAT where that is exact, else a scalar tensor of
// DOUBLE. metadata_props "dmltrain.graph" is JSON with the format's version and what ONNX has no place for: all values
// of the graph by id [name, type, shape, role], the nodes by id (0 for those in the file; of the others, which run
// elsewhere or never, [operation, name, inputs, outputs, phase, forward] without attributes), and the ids of inputs,
// label, output, loss, gradients and next states. Initializers hold what the nodes read.
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "models/graph.h"

namespace dml {

/// The domain of all nodes of such a file.
inline constexpr const char* kFileDomain = "dmltrain";

/// A node that is no operation of the graph: "Send", "Receive", or "AllReduce", a sum over ranks. Its inputs are values
/// of the graph or outputs of other messages; an output that is no value of the graph is as the value that the
/// attribute `parameter` names.
struct MessageNode {
  std::string type;
  std::string name;
  std::vector<std::string> inputs, outputs;
  Attributes attrs;
  friend bool operator==(const MessageNode& a, const MessageNode& b);
};

struct GraphFile {
  std::string name;
  Graph graph;                                         ///< values have a name each
  std::vector<std::variant<NodeId, MessageNode>> run;  ///< the nodes of the file, in order
  std::map<std::string, std::string> notes;            ///< further metadata_props
};

/// Gives values that share a name different ones; parameters, states, inputs and labels keep theirs.
void make_names_unique(Graph& graph);

/// Writes the file whole or not at all; initializers above 1 GB together go to PATH.data. Weights are those sources
/// that nodes in `run` or `also` read, as they are: they must have the shape of their value. Throws IoError.
void write_graph(const GraphFile& file, const std::vector<ValueId>& also, const std::string& path);

/// Throws IoError where the file cannot be read, and ModelError where it is truncated, foreign, or contradicts itself:
/// each node reads what is there before it, and every operation of the file agrees with the shapes of its values.
GraphFile read_graph(const std::string& path);
/// The same from a serialized file without external data; `name` stands for the path in messages.
GraphFile parse_graph(const std::string& bytes, const std::string& name);

}  // namespace dml
