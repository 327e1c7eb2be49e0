#include "tests/reference/reference.h"

#include <stdexcept>

#include "models/op.h"
#include "tests/reference/rules.h"

namespace dml::reference {
namespace {

const Rules& all_rules() {
  static const Rules rules = [] {
    Rules collected;
    for (const auto add : {add_elementwise, add_linear, add_pooling, add_normalization, add_layout, add_selection,
                           add_attention, add_loss}) {
      add(collected);
    }
    return collected;
  }();
  return rules;
}

std::size_t offset_of(const Shape& shape, const Index& index) {
  std::int64_t offset = 0;
  const auto left_out = index.size() - static_cast<std::size_t>(shape.rank());
  for (int dim = 0; dim < shape.rank(); ++dim) {
    const std::int64_t place = shape[dim] == 1 ? 0 : index.at(left_out + static_cast<std::size_t>(dim));
    offset = offset * shape[dim] + place;
  }
  return static_cast<std::size_t>(offset);
}

}  // namespace

Tensor64 Tensor64::zeros(const Shape& shape) {
  return {shape, std::vector<double>(static_cast<std::size_t>(shape.num_elements()), 0.0)};
}

double& at(Tensor64& tensor, const Index& index) { return tensor.elements.at(offset_of(tensor.shape, index)); }
double at(const Tensor64& tensor, const Index& index) { return tensor.elements.at(offset_of(tensor.shape, index)); }

Index moved(Index index, int dim, std::int64_t place) {
  index.at(static_cast<std::size_t>(dim)) = place;
  return index;
}

Shape with_extent(Shape shape, int dim, std::int64_t extent) {
  shape[dim] = extent;
  return shape;
}

Index Call::list(std::string_view key, std::size_t count, std::int64_t otherwise) const {
  const auto given = attrs().integers(key);
  return given.empty() ? Index(count, otherwise) : Index(given.begin(), given.end());
}

bool has_definition(std::string_view op) { return all_rules().contains(op); }

std::vector<Tensor64> evaluate(const Graph& graph, const Node& node, const std::vector<Tensor64>& inputs,
                               const Step& step) {
  const auto rule = all_rules().find(node.op->name);
  if (rule == all_rules().end()) {
    throw std::invalid_argument("[reference] no definition of " + std::string(node.op->name));
  }
  std::vector<Tensor64> outputs;
  for (const ValueId id : node.outputs) outputs.push_back(Tensor64::zeros(graph.shape(id)));
  rule->second({graph, node, inputs, outputs, step});
  return outputs;
}

}  // namespace dml::reference
