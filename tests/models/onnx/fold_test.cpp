// Constant folding: what is computed while importing, and what stays because it might train.
#include <cmath>
#include <limits>

#include "tests/models/onnx/models.h"

namespace dml::test {
namespace {

using Ints = std::vector<std::int64_t>;

/// Builds y = x + c where c is what `add_nodes` computes under the name "c"; returns the elements of c.
template <typename AddNodes>
std::vector<float> folded(AddNodes add_nodes) {
  onnx::ModelProto proto = small_model();
  add_nodes(*proto.mutable_graph());
  set_attribute(add_node(*proto.mutable_graph(), "Cast", "to_float", {"c"}, {"floats"}), "to", std::int64_t{1});
  add_node(*proto.mutable_graph(), "Mul", "use", {"x", "floats"}, {"y"});
  const Graph graph = build(proto);
  EXPECT_EQ(operations_of(graph), "Mul");
  const Value& constant = graph.value(graph.node(0).inputs[1]);
  EXPECT_EQ(constant.role, Role::constant);
  return elements_of(*constant.source);
}

void add_constant(onnx::GraphProto& graph, const std::string& name, const Shape& shape, const Ints& elements) {
  add_initializer(graph, name, shape, elements);
}

onnx::TensorProto float_tensor(const Shape& shape, const std::vector<float>& elements) {
  onnx::GraphProto graph;
  return add_initializer(graph, "", shape, elements);
}

/// A Constant node: floats that never train.
void add_floats(onnx::GraphProto& graph, const std::string& name, const Shape& shape,
                const std::vector<float>& elements) {
  onnx::AttributeProto& value = *add_node(graph, "Constant", name + "_node", {}, {name}).add_attribute();
  value.set_name("value");
  value.set_type(onnx::AttributeProto::TENSOR);
  *value.mutable_t() = float_tensor(shape, elements);
}

TEST(OnnxFold, Arithmetic) {
  const auto result = folded([](onnx::GraphProto& graph) {
    add_constant(graph, "a", {2, 1}, {7, -7});
    add_constant(graph, "b", {4}, {1, 2, 3, -2});
    add_node(graph, "Div", "d", {"a", "b"}, {"q"});
    add_node(graph, "Mul", "m", {"q", "b"}, {"r"});
    add_node(graph, "Sub", "s", {"a", "r"}, {"rest"});
    set_attribute(add_node(graph, "Concat", "j", {"rest", "rest"}, {"c"}), "axis", std::int64_t{1});
  });
  EXPECT_EQ(result, (std::vector<float>{0, 1, 1, 1, 0, 1, 1, 1, 0, -1, -1, -1, 0, -1, -1, -1}));
}

TEST(OnnxFold, FloatsAreRoundedAtEachStep) {
  const auto result = folded([](onnx::GraphProto& graph) {
    add_floats(graph, "three", {1}, {3});
    add_floats(graph, "one", {1}, {1});
    add_node(graph, "Div", "d", {"one", "three"}, {"third"});
    add_node(graph, "Sqrt", "s", {"third"}, {"c"});
  });
  EXPECT_EQ(result, std::vector<float>{std::sqrt(1.0F / 3.0F)});
}

TEST(OnnxFold, ShapesRangesAndMasks) {
  const auto result = folded([](onnx::GraphProto& graph) {
    add_constant(graph, "one", {}, {1});
    add_constant(graph, "zero", {}, {0});
    add_node(graph, "Shape", "s", {"x"}, {"shape"});
    add_node(graph, "Gather", "g", {"shape", "one"}, {"width"});
    add_node(graph, "Range", "r", {"zero", "width", "one"}, {"row"});
    add_constant(graph, "last", {1}, {1});
    add_node(graph, "Unsqueeze", "u", {"row", "last"}, {"column"});
    add_node(graph, "LessOrEqual", "le", {"row", "column"}, {"mask"});
    add_constant(graph, "two", {1}, {2});
    add_constant(graph, "three", {1}, {3});
    add_constant(graph, "first", {1}, {0});
    add_node(graph, "Slice", "sl", {"mask", "two", "three", "first"}, {"c"});
  });
  EXPECT_EQ(result, (std::vector<float>{1, 1, 1, 0, 0, 0, 0, 0}));
}

TEST(OnnxFold, Movements) {
  const auto result = folded([](onnx::GraphProto& graph) {
    add_constant(graph, "a", {2, 4}, {0, 1, 2, 3, 4, 5, 6, 7});
    set_attribute(add_node(graph, "Transpose", "t", {"a"}, {"at"}), "perm", Ints{1, 0});
    add_constant(graph, "flat", {1}, {-1});
    add_node(graph, "Reshape", "r", {"at", "flat"}, {"c"});
  });
  EXPECT_EQ(result, (std::vector<float>{0, 4, 1, 5, 2, 6, 3, 7}));
  const auto lower = folded([](onnx::GraphProto& graph) {
    add_constant(graph, "shape", {2}, {8, 8});
    add_node(graph, "ConstantOfShape", "o", {"shape"}, {"zeros"});
    add_floats(graph, "one", {}, {1});
    add_node(graph, "Add", "a", {"zeros", "one"}, {"ones"});
    set_attribute(add_node(graph, "Trilu", "t", {"ones"}, {"low"}), "upper", std::int64_t{0});
    add_constant(graph, "axes", {1}, {0});
    set_attribute(add_node(graph, "ReduceSum", "s", {"low", "axes"}, {"c"}), "keepdims", std::int64_t{0});
  });
  EXPECT_EQ(lower, (std::vector<float>{8, 7, 6, 5, 4, 3, 2, 1}));
}

/// Of two matrices [[1, 2, 3, 4], [5, 6, 7, 8]] and [[9, ...
std::vector<float> triangles(std::int64_t upper, std::int64_t diagonal) {
  return folded([&](onnx::GraphProto& graph) {
    add_constant(graph, "a", {2, 2, 4}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16});
    add_constant(graph, "k", {}, {diagonal});
    set_attribute(add_node(graph, "Trilu", "t", {"a", "k"}, {"parts"}), "upper", upper);
    add_constant(graph, "shape", {2}, {2, 8});
    add_node(graph, "Reshape", "r", {"parts", "shape"}, {"c"});
  });
}

TEST(OnnxFold, TrianglesOfEveryMatrix) {
  EXPECT_EQ(triangles(0, 0), (std::vector<float>{1, 0, 0, 0, 5, 6, 0, 0, 9, 0, 0, 0, 13, 14, 0, 0}));
  EXPECT_EQ(triangles(0, 1), (std::vector<float>{1, 2, 0, 0, 5, 6, 7, 0, 9, 10, 0, 0, 13, 14, 15, 0}));
  EXPECT_EQ(triangles(1, -1), (std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}));
  EXPECT_EQ(triangles(1, 2), (std::vector<float>{0, 0, 3, 4, 0, 0, 0, 8, 0, 0, 11, 12, 0, 0, 0, 16}));
  constexpr std::int64_t kFar = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(triangles(1, kFar), std::vector<float>(16, 0));
  EXPECT_EQ(triangles(0, -kFar), std::vector<float>(16, 0));
  EXPECT_EQ(triangles(0, kFar), triangles(1, -kFar));
}

TEST(OnnxFold, KeepsWhatMightTrain) {
  onnx::ModelProto proto = small_model();
  onnx::GraphProto& graph = *proto.mutable_graph();
  add_initializer(graph, "w", {8}, std::vector<float>{0, 1, 0, 1, 0, 1, 0, 1});
  add_node(graph, "Neg", "n", {"w"}, {"minus"});
  add_node(graph, "Add", "a", {"x", "minus"}, {"y"});
  EXPECT_EQ(operations_of(build(proto)), "Neg Add");
  graph.mutable_node(1)->set_input(1, "choice");
  onnx::NodeProto use = graph.node(1);
  graph.mutable_node()->RemoveLast();
  add_node(graph, "Equal", "e", {"minus", "w"}, {"is_zero"});
  set_attribute(add_node(graph, "Cast", "c", {"is_zero"}, {"choice"}), "to", std::int64_t{1});
  *graph.add_node() = use;
  const Graph built = build(proto);
  EXPECT_EQ(operations_of(built), "Add") << "no gradient passes a comparison";
  EXPECT_EQ(built.find_value("w"), kNone);
}

TEST(OnnxFold, ErrorsNameTheNode) {
  onnx::ModelProto proto = small_model();
  onnx::GraphProto& graph = *proto.mutable_graph();
  add_constant(graph, "a", {1}, {1});
  add_constant(graph, "b", {1}, {0});
  add_node(graph, "Div", "bad", {"a", "b"}, {"shape"});
  add_node(graph, "Reshape", "r", {"x", "shape"}, {"y"});
  EXPECT_NE(build_error(proto).find("node 'bad' (Div): an integer is divided by 0"), std::string::npos);
  onnx::ModelProto dynamic = small_model();
  set_attribute(add_node(*dynamic.mutable_graph(), "Cast", "c", {"x"}, {"shape"}), "to", std::int64_t{7});
  add_node(*dynamic.mutable_graph(), "Reshape", "r", {"x", "shape"}, {"y"});
  EXPECT_NE(build_error(dynamic).find("must be known before the run"), std::string::npos) << build_error(dynamic);
}

}  // namespace
}  // namespace dml::test
