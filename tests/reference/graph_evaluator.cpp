#include "tests/reference/graph_evaluator.h"

#include <stdexcept>

#include "models/op.h"

namespace dml::reference {
namespace {

std::vector<Tensor64> inputs_of(const Graph& graph, const Node& node, const Values& values) {
  std::vector<Tensor64> inputs;
  for (const ValueId id : node.inputs) {
    if (id == kNone) {
      inputs.push_back(Tensor64::absent());
      continue;
    }
    const auto found = values.find(id);
    if (found == values.end()) {
      throw std::invalid_argument("[evaluate_graph] node '" + node.name + "' reads '" + graph.value(id).name +
                                  "', which has no elements");
    }
    inputs.push_back(found->second);
  }
  return inputs;
}

}  // namespace

Tensor64 stored(const Value& value) {
  Tensor64 tensor = Tensor64::zeros(value.shape);
  if (is_float(value.source->stored_type())) {
    std::vector<float> elements(tensor.elements.size());
    value.source->read_all_f32(elements.data());
    tensor.elements.assign(elements.begin(), elements.end());
  } else {
    std::vector<std::int64_t> elements(tensor.elements.size());
    value.source->read_i64(elements.data());
    tensor.elements.assign(elements.begin(), elements.end());
  }
  return tensor;
}

Values evaluate_graph(const Graph& graph, Values given, const Step& step) {
  Values values = std::move(given);
  for (ValueId id = 0; id < graph.num_values(); ++id) {
    if (graph.value(id).source != nullptr && !values.contains(id)) values[id] = stored(graph.value(id));
  }
  for (const Node& node : graph.nodes()) {
    std::vector<Tensor64> outputs = evaluate(graph, node, inputs_of(graph, node, values), step);
    for (std::size_t i = 0; i < outputs.size(); ++i) values[node.outputs[i]] = std::move(outputs[i]);
  }
  return values;
}

}  // namespace dml::reference
