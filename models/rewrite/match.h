// What patterns are matched with.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "models/graph.h"

namespace dml {

/// A constant times a product of values.
struct Product {
  double constant = 1;
  std::vector<ValueId> factors;
};

/// Questions about a graph as it was at construction; replacing nodes in place keeps the answers safe, since what a
/// replaced node read still counts as read.
class Matcher {
 public:
  explicit Matcher(const Graph& graph);

  const Graph& graph() const { return graph_; }
  /// The node that computes `value` as its first output, if it is of this operation; else null.
  const Node* producer(ValueId value, std::string_view op) const;
  /// Whether exactly one node reads the value, and it is no result of the graph.
  bool is_internal(ValueId value) const;
  /// The one reader of an internal value.
  NodeId reader(ValueId value) const { return consumers_[value][0]; }
  /// Of a node with two inputs: if one of them is a uniform constant, the other one and that constant.
  struct WithConstant {
    ValueId other = kNone;
    double constant = 0;
  };
  std::optional<WithConstant> with_constant(const Node& node) const;
  /// The product that computes `root`, multiplied out through internal values only.
  Product product_of(ValueId root) const;

 private:
  void multiply(Product& product, ValueId value, double power, bool is_root) const;

  const Graph& graph_;
  Consumers consumers_;
  std::vector<bool> is_result_;
};

/// Relative agreement to 1e-4, as constants in exported files agree.
bool is_close(double a, double b);

/// Values that are results of the graph: output, loss, gradients, next states.
std::vector<ValueId> results_of(const Graph& graph);

}  // namespace dml
