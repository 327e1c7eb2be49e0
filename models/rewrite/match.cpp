#include "models/rewrite/match.h"

#include <cmath>

#include "models/constants.h"
#include "models/op.h"

namespace dml {

Matcher::Matcher(const Graph& graph)
    : graph_(graph), consumers_(graph.consumers()), is_result_(static_cast<std::size_t>(graph.num_values())) {
  for (const ValueId id : results_of(graph)) is_result_[static_cast<std::size_t>(id)] = true;
}

const Node* Matcher::producer(ValueId value, std::string_view op) const {
  if (value == kNone || graph_.value(value).producer == kNone) return nullptr;
  const Node& node = graph_.node(graph_.value(value).producer);
  return node.op->name == op && node.outputs[0] == value ? &node : nullptr;
}

bool Matcher::is_internal(ValueId value) const {
  return consumers_[value].size() == 1 && !is_result_[static_cast<std::size_t>(value)];
}

std::optional<Matcher::WithConstant> Matcher::with_constant(const Node& node) const {
  for (const std::size_t index : {std::size_t{1}, std::size_t{0}}) {
    if (const auto constant = uniform_value(graph_, node.inputs[index])) {
      return WithConstant{node.inputs[1 - index], static_cast<double>(*constant)};
    }
  }
  return std::nullopt;
}

Product Matcher::product_of(ValueId root) const {
  Product product;
  multiply(product, root, 1, true);
  return product;
}

void Matcher::multiply(Product& product, ValueId value, double power, bool is_root) const {
  if (const auto constant = uniform_value(graph_, value)) {
    product.constant *= std::pow(static_cast<double>(*constant), power);
    return;
  }
  if (is_root || is_internal(value)) {
    if (const Node* node = producer(value, "Mul")) {
      multiply(product, node->inputs[0], power, false);
      multiply(product, node->inputs[1], power, false);
      return;
    }
    if (const Node* node = producer(value, "Div"); node != nullptr && uniform_value(graph_, node->inputs[1])) {
      multiply(product, node->inputs[0], power, false);
      multiply(product, node->inputs[1], -power, false);
      return;
    }
    if (const Node* node = producer(value, "Pow")) {
      const auto exponent = uniform_value(graph_, node->inputs[1]);
      if (exponent == 2.0F || exponent == 3.0F) {
        for (int i = 0; i < static_cast<int>(*exponent); ++i) multiply(product, node->inputs[0], power, false);
        return;
      }
    }
  }
  product.factors.push_back(value);
}

bool is_close(double a, double b) { return std::abs(a - b) <= 1e-4 * std::abs(b); }

std::vector<ValueId> results_of(const Graph& graph) {
  std::vector<ValueId> results;
  for (const ValueId id : {graph.output, graph.loss}) {
    if (id != kNone) results.push_back(id);
  }
  for (const auto& [parameter, gradient] : graph.gradient_of) results.push_back(gradient);
  for (const auto& [state, next] : graph.next_state) results.push_back(next);
  return results;
}

}  // namespace dml
