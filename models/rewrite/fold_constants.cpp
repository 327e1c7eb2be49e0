// Folding of what is left after import: masks and scalars that were initializers, so that the importer could not know
// whether they train.
#include <cmath>
#include <map>
#include <optional>

#include "models/constants.h"
#include "models/op.h"
#include "models/rewrite/passes.h"

namespace dml {
namespace {

using Elements = std::vector<float>;
using Strides = std::array<std::int64_t, Shape::kMaxRank>;

constexpr std::int64_t kMostElements = std::int64_t{1} << 25;

/// Elements x[base + coordinate · strides] for all coordinates of `y`, in row-major order.
Elements view(const Elements& x, const Shape& y, std::int64_t base, const Strides& strides) {
  Elements result(static_cast<std::size_t>(y.num_elements()));
  for (std::int64_t index = 0; index < y.num_elements(); ++index) {
    std::int64_t rest = index;
    std::int64_t at = base;
    for (int dim = y.rank() - 1; dim >= 0; --dim) {
      at += rest % y[dim] * strides[static_cast<std::size_t>(dim)];
      rest /= y[dim];
    }
    result[static_cast<std::size_t>(index)] = x[static_cast<std::size_t>(at)];
  }
  return result;
}

Elements broadcast_to(const Elements& x, const Shape& from, const Shape& to) {
  if (from == to) return x;
  const Strides own = strides_of(from);
  Strides strides{};
  for (int dim = 0; dim < from.rank(); ++dim) {
    const auto target = static_cast<std::size_t>(dim + to.rank() - from.rank());
    strides[target] = from[dim] == 1 ? 0 : own[static_cast<std::size_t>(dim)];
  }
  return view(x, to, 0, strides);
}

Elements transposed(const Node& node, const Elements& x, const Shape& from, const Shape& to) {
  const Strides own = strides_of(from);
  const auto perm = node.attrs.integers("perm");
  Strides strides{};
  for (std::size_t dim = 0; dim < perm.size(); ++dim) {
    strides[dim] = own[static_cast<std::size_t>(from.normalize(perm[dim]))];
  }
  return view(x, to, 0, strides);
}

Elements sliced(const Node& node, const Elements& x, const Shape& from, const Shape& to) {
  const auto axis = static_cast<std::size_t>(from.normalize(node.attrs.integer("axis", -1)));
  Strides strides = strides_of(from);
  const std::int64_t base = node.attrs.integer("start") * strides[axis];
  strides[axis] *= node.attrs.integer("step", 1);
  return view(x, to, base, strides);
}

using Binary = float (*)(float, float);

/// Null for operations that are not binary. Booleans are 0 and 1.
Binary binary_of(std::string_view op) {
  static const std::map<std::string_view, Binary> table{
      {"Add", [](float a, float b) { return a + b; }},
      {"Sub", [](float a, float b) { return a - b; }},
      {"Mul", [](float a, float b) { return a * b; }},
      {"Div", [](float a, float b) { return a / b; }},
      {"Equal", [](float a, float b) { return a == b ? 1.0F : 0.0F; }},
      {"Less", [](float a, float b) { return a < b ? 1.0F : 0.0F; }},
      {"LessOrEqual", [](float a, float b) { return a <= b ? 1.0F : 0.0F; }},
      {"Greater", [](float a, float b) { return a > b ? 1.0F : 0.0F; }},
      {"GreaterOrEqual", [](float a, float b) { return a >= b ? 1.0F : 0.0F; }},
      {"And", [](float a, float b) { return a != 0 && b != 0 ? 1.0F : 0.0F; }},
      {"Or", [](float a, float b) { return a != 0 || b != 0 ? 1.0F : 0.0F; }},
  };
  const auto found = table.find(op);
  return found == table.end() ? nullptr : found->second;
}

using Unary = float (*)(float);

Unary unary_of(std::string_view op) {
  static const std::map<std::string_view, Unary> table{
      {"Neg", [](float x) { return -x; }},
      {"Sqrt", [](float x) { return std::sqrt(x); }},
      {"Reciprocal", [](float x) { return 1.0F / x; }},
      {"Not", [](float x) { return x == 0 ? 1.0F : 0.0F; }},
      {"Reshape", [](float x) { return x; }},
  };
  const auto found = table.find(op);
  return found == table.end() ? nullptr : found->second;
}

Elements chosen(const Elements& condition, Elements a, const Elements& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (condition[i] == 0) a[i] = b[i];
  }
  return a;
}

/// The elements of the node's output, or none where the operation is not folded.
std::optional<Elements> computed(const Graph& graph, const Node& node) {
  const Shape& y = graph.shape(node.outputs[0]);
  const std::string_view op = node.op->name;
  const auto input = [&](std::size_t index) {
    return broadcast_to(elements_of(graph, node.inputs[index]), graph.shape(node.inputs[index]), y);
  };
  if (const Binary function = binary_of(op)) {
    Elements a = input(0);
    const Elements b = input(1);
    for (std::size_t i = 0; i < a.size(); ++i) a[i] = function(a[i], b[i]);
    return a;
  }
  if (op == "Where") return chosen(input(0), input(1), input(2));
  if (op == "Expand") return input(0);
  Elements x = elements_of(graph, node.inputs[0]);
  if (op == "Transpose") return transposed(node, x, graph.shape(node.inputs[0]), y);
  if (op == "Slice") return sliced(node, x, graph.shape(node.inputs[0]), y);
  if (op == "Cast" && graph.value(node.outputs[0]).dtype == DataType::boolean) {
    for (float& element : x) element = element != 0 ? 1.0F : 0.0F;
    return x;
  }
  if (op == "Cast") return x;
  const Unary function = unary_of(op);
  if (function == nullptr) return std::nullopt;
  for (float& element : x) element = function(element);
  return x;
}

bool is_foldable(const Graph& graph, const Node& node) {
  const auto holds = [](DataType type) { return type == DataType::f32 || type == DataType::boolean; };
  if (node.outputs.size() != 1 || node.inputs.empty()) return false;
  const Value& y = graph.value(node.outputs[0]);
  if (!holds(y.dtype) || y.shape.num_elements() > kMostElements) return false;
  for (const ValueId id : node.inputs) {
    if (!is_known_constant(graph, id) || !holds(graph.value(id).dtype)) return false;
  }
  return true;
}

std::shared_ptr<const TensorSource> source_of(const Value& value, Elements elements) {
  if (value.dtype == DataType::f32) return make_source(value.shape, std::move(elements));
  return make_source(value.shape, std::vector<std::int64_t>(elements.begin(), elements.end()), value.dtype);
}

}  // namespace

void fold_constants(Graph& graph) {
  std::vector<Node> kept;
  for (const Node& node : graph.nodes()) {
    std::optional<Elements> elements;
    if (is_foldable(graph, node)) elements = computed(graph, node);
    if (!elements) {
      kept.push_back(node);
      continue;
    }
    Value& value = graph.value(node.outputs[0]);
    value.source = source_of(value, std::move(*elements));
    value.role = Role::constant;
  }
  graph.set_nodes(std::move(kept));
}

}  // namespace dml
