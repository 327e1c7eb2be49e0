// A graph of one node, put together operand by operand.
#pragma once

#include <string_view>
#include <vector>

#include "models/graph.h"

namespace dml {

class Operands {
 public:
  Operands& add(const Shape& shape, DataType dtype = DataType::f32);
  /// An optional input that is absent.
  Operands& skip();
  /// The graph of this one node over them.
  Graph node(std::string_view operation, const Attributes& attrs);

 private:
  Graph graph_;
  std::vector<ValueId> ids_;
};

}  // namespace dml
