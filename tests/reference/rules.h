// What the definitions of the families share: the call, indices, and the table that they enter.
#pragma once

#include <map>
#include <string_view>

#include "tests/reference/reference.h"

namespace dml::reference {

using Index = std::vector<std::int64_t>;

/// One evaluation. The outputs have their shapes and are zero.
struct Call {
  const Graph& graph;
  const Node& node;
  const std::vector<Tensor64>& in;
  std::vector<Tensor64>& out;
  const Step& step;

  bool has(std::size_t input) const { return input < in.size() && !in[input].is_absent(); }
  const Attributes& attrs() const { return node.attrs; }
  /// Attribute "axis" as a dim of `shape`.
  int axis(const Shape& shape, std::int64_t otherwise = -1) const {
    return shape.normalize(attrs().integer("axis", otherwise));
  }
  /// Attribute `key`, or as many times `otherwise`.
  Index list(std::string_view key, std::size_t count, std::int64_t otherwise) const;
  DataType type_of_output() const { return graph.value(node.outputs[0]).dtype; }
};

using Rule = void (*)(const Call& call);
using Rules = std::map<std::string_view, Rule>;

void add_elementwise(Rules& rules);
void add_linear(Rules& rules);
void add_pooling(Rules& rules);
void add_normalization(Rules& rules);
void add_layout(Rules& rules);
void add_selection(Rules& rules);
void add_attention(Rules& rules);
void add_loss(Rules& rules);

/// GELU, by the error function or by tanh, and its derivative.
double gelu(double x, bool by_tanh);
double gelu_slope(double x, bool by_tanh);

/// The element at `index`, of which the last dims count; a dim of extent 1 is broadcast.
double& at(Tensor64& tensor, const Index& index);
double at(const Tensor64& tensor, const Index& index);

/// body(index) for all indices of a shape in row-major order.
template <typename Body>
void for_each(const Shape& shape, const Body& body) {
  Index index(static_cast<std::size_t>(shape.rank()), 0);
  for (std::int64_t count = shape.num_elements(); count > 0; --count) {
    body(static_cast<const Index&>(index));
    for (int dim = shape.rank() - 1; dim >= 0; --dim) {
      auto& place = index[static_cast<std::size_t>(dim)];
      if (++place < shape[dim]) break;
      place = 0;
    }
  }
}

/// `index` with another place along `dim`.
Index moved(Index index, int dim, std::int64_t place);
/// `shape` with another extent of `dim`.
Shape with_extent(Shape shape, int dim, std::int64_t extent);

}  // namespace dml::reference
