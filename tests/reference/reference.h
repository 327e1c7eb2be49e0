// What every operation of models/ops/README.md means, evaluated in double by the plainest loops: the judge of all
// kernels and of all gradient rules. Nothing here is fast.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/step_state.h"
#include "kernels/tensor.h"
#include "models/graph.h"

namespace dml::reference {

/// Elements in row-major order; integers and booleans are held as doubles too.
struct Tensor64 {
  Shape shape;
  std::vector<double> elements;

  static Tensor64 zeros(const Shape& shape);
  /// What stands for an absent optional input.
  static Tensor64 absent() { return {}; }
  bool is_absent() const { return elements.empty() && shape.num_elements() > 0; }
};

/// What operations read apart from their inputs.
struct Step {
  StepState state;
  std::int64_t first_sample = 0;
};

/// The outputs of `node`, whose shapes are those of the graph's values. MatMul ignores `accumulate`: what y held before
/// is the caller's to add. Throws std::invalid_argument for an operation that has no definition here.
std::vector<Tensor64> evaluate(const Graph& graph, const Node& node, const std::vector<Tensor64>& inputs,
                               const Step& step = {});
/// Whether there is a definition of that name.
bool has_definition(std::string_view op);

}  // namespace dml::reference
