#include "models/graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "kernels/error.h"
#include "models/op.h"

namespace dml {
namespace {

const std::string kNoText;

template <typename T>
const T* find_attribute(const std::map<std::string, Attributes::Attribute, std::less<>>& attributes,
                        std::string_view key) {
  const auto found = attributes.find(key);
  if (found == attributes.end()) return nullptr;
  const T* attribute = std::get_if<T>(&found->second);
  DML_ASSERT(attribute != nullptr, "attribute '" + found->first + "' has another type than it is read as");
  return attribute;
}

std::string describe(const Graph& graph, const Node& node) {
  std::string text = fmt::format("node '{}' ({})", node.name, node.op->name);
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const ValueId id = node.inputs[i];
    text += i == 0 ? " with inputs " : ", ";
    text += id == kNone ? "absent" : fmt::format("{} {}", name_of(graph.value(id).dtype), graph.shape(id).to_string());
  }
  return text;
}

void check_inputs(const Graph& graph, const Node& node) {
  DML_ASSERT(node.op != nullptr, "node '" + node.name + "' has no operation");
  const int count = static_cast<int>(node.inputs.size());
  if (count < node.op->min_inputs || (node.op->max_inputs >= 0 && count > node.op->max_inputs)) {
    throw std::invalid_argument(fmt::format("[{}] has {} inputs, wants {} to {}", node.op->name, count,
                                            node.op->min_inputs,
                                            node.op->max_inputs < 0 ? "any" : std::to_string(node.op->max_inputs)));
  }
  for (const ValueId id : node.inputs) {
    DML_ASSERT(id >= kNone && id < graph.num_values(), "node '" + node.name + "' reads value " + std::to_string(id));
  }
}

std::vector<TypedShape> infer(const Graph& graph, const Node& node, std::size_t num_names) {
  try {
    check_inputs(graph, node);
    std::vector<TypedShape> outputs = node.op->infer(graph, node);
    if (num_names > outputs.size()) {
      throw std::invalid_argument(
          fmt::format("[{}] has {} outputs, {} are named", node.op->name, outputs.size(), num_names));
    }
    return outputs;
  } catch (const std::invalid_argument& error) {
    throw ModelError(describe(graph, node) + ": " + error.what());
  }
}

}  // namespace

char letter_of(Phase phase) {
  switch (phase) {
    case Phase::forward: return 'F';
    case Phase::input_grad: return 'B';
    case Phase::weight_grad: return 'W';
    case Phase::recompute: return 'R';
    case Phase::update: return 'U';
  }
  return '?';
}

Attributes& Attributes::set(std::string key, Attribute value) {
  attributes_.insert_or_assign(std::move(key), std::move(value));
  return *this;
}

bool Attributes::has(std::string_view key) const { return attributes_.find(key) != attributes_.end(); }

std::int64_t Attributes::integer(std::string_view key, std::int64_t otherwise) const {
  const auto* attribute = find_attribute<std::int64_t>(attributes_, key);
  return attribute != nullptr ? *attribute : otherwise;
}

double Attributes::real(std::string_view key, double otherwise) const {
  const auto* attribute = find_attribute<double>(attributes_, key);
  return attribute != nullptr ? *attribute : otherwise;
}

const std::string& Attributes::text(std::string_view key) const {
  const auto* attribute = find_attribute<std::string>(attributes_, key);
  return attribute != nullptr ? *attribute : kNoText;
}

std::span<const std::int64_t> Attributes::integers(std::string_view key) const {
  const auto* attribute = find_attribute<std::vector<std::int64_t>>(attributes_, key);
  return attribute != nullptr ? std::span<const std::int64_t>(*attribute) : std::span<const std::int64_t>();
}

ValueId Graph::add_value(Value value) {
  const ValueId id = num_values();
  id_of_name_.try_emplace(value.name, id);
  values_.push_back(std::move(value));
  return id;
}

NodeId Graph::add_node(Node node, std::span<const std::string> output_names) {
  const std::vector<TypedShape> outputs = infer(*this, node, output_names.size());
  const NodeId id = num_nodes();
  node.outputs.clear();
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    Value value;
    const bool is_named = i < output_names.size() && !output_names[i].empty();
    value.name = is_named ? output_names[i] : i == 0 ? node.name : fmt::format("{}.{}", node.name, i);
    value.dtype = outputs[i].dtype;
    value.shape = outputs[i].shape;
    value.producer = id;
    node.outputs.push_back(add_value(std::move(value)));
  }
  nodes_.push_back(std::move(node));
  return id;
}

ValueId Graph::add(std::string_view op, std::vector<ValueId> inputs, Attributes attrs, std::string name,
                   const Node* like) {
  Node node;
  node.op = dml::op(op);
  node.name = std::move(name);
  node.attrs = std::move(attrs);
  node.inputs = std::move(inputs);
  if (like != nullptr) {
    node.scope = like->scope;
    node.phase = like->phase;
    node.forward = like->forward;
  }
  return this->node(add_node(std::move(node), {})).outputs[0];
}

ValueId Graph::find_value(std::string_view name) const {
  const auto found = id_of_name_.find(std::string(name));
  if (found != id_of_name_.end() && value(found->second).name == name) return found->second;
  for (ValueId id = 0; id < num_values(); ++id) {  // a value may have been renamed since it was added
    if (value(id).name == name) return id;
  }
  return kNone;
}

Consumers::Consumers(const Graph& graph) : begins_(static_cast<std::size_t>(graph.num_values()) + 1, 0) {
  // An input that is named twice is read once.
  const auto for_each = [&graph](const auto& visit) {
    for (NodeId id = 0; id < graph.num_nodes(); ++id) {
      const std::vector<ValueId>& inputs = graph.node(id).inputs;
      for (auto input = inputs.begin(); input != inputs.end(); ++input) {
        if (*input != kNone && std::find(inputs.begin(), input, *input) == input)
          visit(static_cast<std::size_t>(*input), id);
      }
    }
  };
  for_each([this](std::size_t value, NodeId) { ++begins_[value + 1]; });
  std::partial_sum(begins_.begin(), begins_.end(), begins_.begin());
  nodes_.resize(begins_.back());
  std::vector<std::size_t> next(begins_.begin(), begins_.end() - 1);
  for_each([&](std::size_t value, NodeId id) { nodes_[next[value]++] = id; });
}

void Graph::set_nodes(std::vector<Node> nodes) {
  nodes_ = std::move(nodes);
  for (Value& value : values_) value.producer = kNone;
  for (NodeId id = 0; id < num_nodes(); ++id) {
    for (const ValueId output : node(id).outputs) value(output).producer = id;
  }
}

void Graph::remove_dead(std::span<const ValueId> keep) {
  std::vector<bool> needed(values_.size(), false);
  for (const ValueId id : keep) {
    if (id != kNone) needed[static_cast<std::size_t>(id)] = true;
  }
  std::vector<bool> lives(nodes_.size(), false);
  for (NodeId id = num_nodes() - 1; id >= 0; --id) {
    bool is_needed = false;
    for (const ValueId output : node(id).outputs) is_needed = is_needed || needed[static_cast<std::size_t>(output)];
    if (!is_needed) continue;
    lives[static_cast<std::size_t>(id)] = true;
    for (const ValueId input : node(id).inputs) {
      if (input != kNone) needed[static_cast<std::size_t>(input)] = true;
    }
  }
  std::vector<NodeId> moved(nodes_.size(), kNone);
  std::vector<Node> kept;
  for (NodeId id = 0; id < num_nodes(); ++id) {
    if (!lives[static_cast<std::size_t>(id)]) continue;
    moved[static_cast<std::size_t>(id)] = static_cast<NodeId>(kept.size());
    kept.push_back(std::move(node(id)));
    NodeId& forward = kept.back().forward;
    if (forward != kNone) forward = moved[static_cast<std::size_t>(forward)];
  }
  set_nodes(std::move(kept));
}

}  // namespace dml
