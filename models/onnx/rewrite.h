// Ties and unties as a change of the file's graph: what the nodes read, before anything is lowered.
#pragma once

#include <deque>
#include <vector>

#include "models/onnx/content.h"
#include "models/onnx/node.h"

namespace dml {

/// An initializer that is trained as another one.
struct Tied {
  std::string name;  ///< B, which is no parameter any more
  std::string to;    ///< A
  bool is_transposed = false;
};

struct RewrittenGraph {
  std::vector<OnnxNode> nodes;                ///< Transpose(A) of a tie comes first
  std::vector<OnnxInitializer> initializers;  ///< in the file's order; NAME#k stands behind NAME
  std::vector<Tied> tied;
  std::deque<onnx::NodeProto> made;  ///< owns the nodes that are not in the file
};

/// Throws ModelError where an option names no float initializer, or A and B are not equal in value.
RewrittenGraph rewrite(const OnnxModel::Content& content, const BuildOptions& options);

/// All elements, converted to float. Throws IoError.
std::vector<float> elements_of(const OnnxInitializer& initializer);

/// Whether both hold the same elements; of two matrices, whether one is the other transposed. Reads both.
bool is_equal(const OnnxInitializer& a, const OnnxInitializer& b);
bool is_transposed(const OnnxInitializer& a, const OnnxInitializer& b);

}  // namespace dml
