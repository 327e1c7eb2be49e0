#include "runtime/calibrate/operands.h"

#include <string>
#include <utility>

namespace dml {

Operands& Operands::add(const Shape& shape, DataType dtype) {
  Value value;
  value.name = "x" + std::to_string(ids_.size());
  value.dtype = dtype;
  value.shape = shape;
  value.role = Role::input;
  ids_.push_back(graph_.add_value(std::move(value)));
  return *this;
}

Operands& Operands::skip() {
  ids_.push_back(kNone);
  return *this;
}

Graph Operands::node(std::string_view operation, const Attributes& attrs) {
  graph_.add(operation, ids_, attrs, "y");
  return std::move(graph_);
}

}  // namespace dml
