#include "models/onnx/lower/importer.h"

#include <stdexcept>

#include "kernels/error.h"
#include "models/onnx/lower/lowering.h"
#include "models/onnx/tensor_payload.h"
#include "models/op.h"

namespace dml {

Importer::Importer(const OnnxModel::Content& content, const RewrittenGraph& graph, const ImportPlan& plan,
                   const std::vector<Shape>& input_shapes, WrittenBatch* batch)
    : content_(content),
      rewritten_(graph),
      plan_(plan),
      batch_(batch),
      known_(
          content, graph, plan,
          [this](const std::string& name) {
            const auto found = values_.find(name);
            return found == values_.end() ? nullptr : &graph_.shape(found->second);
          },
          batch) {
  for (const auto& [name, facts] : plan.facts) names_.insert(name);
  add_inputs(input_shapes);
  add_parameters();
}

void Importer::add_inputs(const std::vector<Shape>& shapes) {
  for (std::size_t i = 0; i < content_.inputs.size(); ++i) {
    const OnnxInput& input = content_.inputs[i];
    const ValueId id = graph_.add_value({input.name, input.dtype, shapes[i], Role::input, kNone, nullptr});
    graph_.inputs.push_back(id);
    values_[input.name] = id;
    if (batch_ != nullptr) batch_->add_input(input.name, shapes[i]);
  }
}

void Importer::add_parameters() {
  for (const OnnxInitializer& initializer : rewritten_.initializers) {
    if (!is_float(initializer.dtype) || !plan_.read.contains(initializer.name)) continue;
    values_[initializer.name] = graph_.add_value(
        {initializer.name, DataType::f32, initializer.shape, Role::parameter, kNone, initializer.source});
  }
}

Graph Importer::run() {
  for (std::size_t i = 0; i < rewritten_.nodes.size(); ++i) {
    if (plan_.is_lowered[i]) lower(rewritten_.nodes[i], *plan_.operators[i]);
  }
  graph_.output = value_of(content_.outputs[0]);
  for (const auto& [name, id] : values_) shapes_[name] = graph_.shape(id);
  std::vector<ValueId> keep{graph_.output};
  for (const auto& [state, next] : graph_.next_state) keep.push_back(next);
  graph_.remove_dead(keep);
  return std::move(graph_);
}

void Importer::lower(const OnnxNode& node, const OnnxOperator& op) {
  Lowering lowering(*this, node);
  try {
    op.lower(lowering);
  } catch (const std::invalid_argument& error) {
    node.fail(error.what());
  }
  check_outputs(node);
}

void Importer::check_outputs(const OnnxNode& node) {
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    const auto found = values_.find(node.outputs[i]);
    if (node.outputs[i].empty() || found == values_.end()) continue;
    const Shape& shape = graph_.shape(found->second);
    checked_shape({shape.begin(), static_cast<std::size_t>(shape.rank())}, node.outputs[i]);
    if (batch_ != nullptr) batch_->check_output(node, i, shape);
  }
}

ValueId Importer::value_of(const std::string& name) {
  const auto found = values_.find(name);
  if (found != values_.end()) return found->second;
  if (!plan_.of(name).is_folded()) throw ModelError(in_quotes(name) + " is an output that is not computed");
  auto source = known_.source(name);
  Value value{name, computed_type(source->stored_type()), source->shape(), Role::constant, kNone, std::move(source)};
  const ValueId id = graph_.add_value(std::move(value));
  values_[name] = id;
  return id;
}

std::string Importer::unique_name(const std::string& name) {
  std::string result = name;
  for (int i = 1; !names_.insert(result).second; ++i) result = name + "." + std::to_string(i);
  return result;
}

Lowering::Lowering(Importer& importer, const OnnxNode& onnx_node)
    : node(onnx_node), graph(importer.graph_), importer_(importer) {}

ValueId Lowering::input(std::size_t index) {
  if (!has_input(index)) throw std::invalid_argument("input " + std::to_string(index) + " is absent");
  return importer_.value_of(node.inputs[index]);
}

ValueId Lowering::optional_input(std::size_t index) { return has_input(index) ? input(index) : kNone; }

bool Lowering::is_folded(std::size_t index) const { return importer_.plan_.of(node.input(index)).is_folded(); }

const Literal& Lowering::literal(std::size_t index) {
  if (!has_input(index)) throw std::invalid_argument("input " + std::to_string(index) + " is absent");
  return importer_.known_.literal(node.inputs[index]);
}

std::vector<std::int64_t> Lowering::integers(std::size_t index, std::vector<std::int64_t> otherwise) {
  if (!has_input(index)) return otherwise;
  const Literal& known = literal(index);
  if (known.is_real()) throw std::invalid_argument("input " + std::to_string(index) + " holds floats");
  return known.integers;
}

double Lowering::scalar(std::size_t index, double otherwise) {
  if (!has_input(index)) return otherwise;
  const Literal& known = literal(index);
  if (known.num_elements() != 1) throw std::invalid_argument("input " + std::to_string(index) + " is no scalar");
  return known.real_at(0);
}

const OnnxInitializer* Lowering::initializer(std::size_t index) const {
  for (const OnnxInitializer& initializer : importer_.rewritten_.initializers) {
    if (initializer.name == node.input(index)) return &initializer;
  }
  return nullptr;
}

ValueId Lowering::constant(const std::string& suffix, const Literal& literal) {
  auto source = source_of(literal);
  const DataType type = computed_type(source->stored_type());
  const std::string name = importer_.unique_name(node.outputs[0] + "/" + suffix);
  return graph.add_value({name, type, literal.shape, Role::constant, kNone, std::move(source)});
}

ValueId Lowering::constant(const std::string& suffix, double scalar) {
  return constant(suffix, make_literal({}, std::vector<double>{scalar}, DataType::f32));
}

const Node& Lowering::add(std::string_view op, std::vector<ValueId> inputs, Attributes attrs, const std::string& suffix,
                          std::vector<std::string> output_names) {
  Node made;
  made.op = dml::op(op);
  made.name = suffix.empty() ? node.name : node.name + "/" + suffix;
  made.scope = node.scope;
  made.attrs = std::move(attrs);
  made.inputs = std::move(inputs);
  while (made.inputs.size() > 1 && made.inputs.back() == kNone) made.inputs.pop_back();
  for (auto i = static_cast<int>(output_names.size()); i < made.op->num_outputs; ++i) {
    output_names.push_back(importer_.unique_name(node.outputs[0] + "/" + std::to_string(i)));
  }
  return graph.node(graph.add_node(std::move(made), output_names));
}

ValueId Lowering::emit(std::string_view op, std::vector<ValueId> inputs, Attributes attrs, const std::string& suffix) {
  const std::string name = importer_.unique_name(node.outputs[0] + "/" + suffix);
  return add(op, std::move(inputs), std::move(attrs), suffix, {name}).outputs[0];
}

const Node& Lowering::finish(std::string_view op, std::vector<ValueId> inputs, Attributes attrs) {
  const Node& made = add(op, std::move(inputs), std::move(attrs), "", {node.outputs[0]});
  bind(0, made.outputs[0]);
  return made;
}

void Lowering::finish_all(std::string_view op, std::vector<ValueId> inputs, Attributes attrs) {
  const Node& made = add(op, std::move(inputs), std::move(attrs), "", node.outputs);
  for (std::size_t i = 0; i < node.outputs.size(); ++i) bind(i, made.outputs[i]);
}

void Lowering::bind(std::size_t index, ValueId value) {
  if (node.has_output(index)) importer_.values_[node.outputs[index]] = value;
}

const WrittenBatch* Lowering::batch() const { return importer_.batch_; }

bool Lowering::is_target_written(std::size_t index) const { return importer_.known_.is_in_file(node.input(index)); }

std::int64_t Lowering::next_dropout_site() { return importer_.num_dropouts_++; }

}  // namespace dml
