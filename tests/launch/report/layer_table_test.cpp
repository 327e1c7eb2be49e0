#include "launch/report/layer_table.h"

#include <gtest/gtest.h>

#include "models/op.h"
#include "models/scope.h"

namespace dml {
namespace {

class LayerTableTest : public testing::Test {
 protected:
  ValueId add_value(const std::string& name, Shape shape, Role role) {
    Value value;
    value.name = name;
    value.shape = shape;
    value.role = role;
    return graph_.add_value(std::move(value));
  }
  ValueId product(const std::string& scope, ValueId x, ValueId w) {
    Node node;
    node.op = op("MatMul");
    node.name = scope + "/matmul";
    node.scope = scope;
    node.inputs = {x, w};
    return graph_.node(graph_.add_node(std::move(node), {})).outputs.front();
  }
  Graph graph_;
};

TEST_F(LayerTableTest, CountsSharedParametersOnce) {
  const ValueId x = add_value("x", {2, 4}, Role::input);
  const ValueId w = add_value("w", {4, 4}, Role::parameter);
  const ValueId y = product("net/first/linear", x, w);
  product("net/second/linear", y, w);
  EXPECT_EQ(common_components(graph_), 1U);
  EXPECT_EQ(layer_table(graph_, {}),
            "One forward pass, by layer\n"
            "  layer   operations  parameters  FLOP  bytes\n"
            "  ------  ----------  ----------  ----  -----\n"
            "  first            1          16    64  128 B\n"
            "  second           1           0    64  128 B\n"
            "  total            2          16   128  256 B\n");
}

}  // namespace
}  // namespace dml
