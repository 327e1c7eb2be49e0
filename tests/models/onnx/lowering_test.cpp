// What single ONNX operations become: operations, attributes and shapes.
#include "tests/models/onnx/models.h"

namespace dml::test {
namespace {

using Ints = std::vector<std::int64_t>;

/// y = type(x, constants...) where the constants are vectors of integers.
onnx::ModelProto integer_model(const std::string& type, const std::vector<Ints>& constants, std::int64_t opset = 17) {
  onnx::ModelProto proto = small_model(opset);
  std::vector<std::string> inputs{"x"};
  for (const Ints& elements : constants) {
    inputs.push_back("c" + std::to_string(inputs.size()));
    add_initializer(*proto.mutable_graph(), inputs.back(), {static_cast<std::int64_t>(elements.size())}, elements);
  }
  add_node(*proto.mutable_graph(), type, "n", inputs, {"y"});
  return proto;
}

Ints ints(const Node& node, std::string_view key) {
  const auto list = node.attrs.integers(key);
  return {list.begin(), list.end()};
}

Shape output_shape(const Graph& graph) { return graph.shape(graph.output); }

TEST(OnnxLowering, ReshapesAreComplete) {
  EXPECT_EQ(ints(node_of(build(integer_model("Reshape", {{0, 2, -1}})), "Reshape"), "shape"), (Ints{2, 2, 4}));
  EXPECT_EQ(output_shape(build(integer_model("Unsqueeze", {{-1, 0}}))), (Shape{1, 2, 8, 1}));
  EXPECT_NE(build_error(integer_model("Reshape", {{5, 7}})).find("2x8 cannot become [5, 7]"), std::string::npos);
  EXPECT_NE(build_error(integer_model("Squeeze", {{1}})).find("is not 1"), std::string::npos);
  EXPECT_NE(build_error(integer_model("Unsqueeze", {{0, 0}})).find("twice"), std::string::npos);
}

TEST(OnnxLowering, AllowzeroKeepsZeros) {
  onnx::ModelProto proto = integer_model("Reshape", {{0, 8}});
  set_attribute(*proto.mutable_graph()->mutable_node(0), "allowzero", std::int64_t{1});
  EXPECT_NE(build_error(proto).find("cannot become [0, 8]"), std::string::npos);
}

TEST(OnnxLowering, SlicesHandleOneDimEach) {
  const Graph graph = build(integer_model("Slice", {{1, -1}, {2, -100}, {0, 1}, {1, -2}}));
  EXPECT_EQ(operations_of(graph), "Slice Slice");
  EXPECT_EQ(output_shape(graph), (Shape{1, 4}));
  const Node& last = graph.node(1);
  EXPECT_EQ(last.attrs.integer("start"), 7);
  EXPECT_EQ(last.attrs.integer("end"), -1);
  EXPECT_EQ(last.attrs.integer("step"), -2);
  EXPECT_EQ(last.name, "n");
  EXPECT_NE(build_error(integer_model("Slice", {{1}, {2}, {0}, {0}})).find("a step of 0"), std::string::npos);
}

TEST(OnnxLowering, SplitTakesSizesOrEqualParts) {
  onnx::ModelProto proto = integer_model("Split", {{3, 5}});
  onnx::NodeProto& node = *proto.mutable_graph()->mutable_node(0);
  set_attribute(node, "axis", std::int64_t{-1});
  node.add_output("rest");
  EXPECT_EQ(output_shape(build(proto)), (Shape{2, 3}));
  node.mutable_input()->RemoveLast();
  node.add_output("last");
  const Graph graph = build(proto);
  EXPECT_EQ(ints(node_of(graph, "Split"), "sizes"), (Ints{3, 3, 2}));
}

TEST(OnnxLowering, VectorsInProductsBecomeMatrices) {
  onnx::ModelProto proto = small_model();
  add_initializer(*proto.mutable_graph(), "v", {8}, std::vector<float>(8, 1));
  add_node(*proto.mutable_graph(), "MatMul", "n", {"x", "v"}, {"y"});
  const Graph graph = build(proto);
  EXPECT_EQ(operations_of(graph), "Reshape MatMul Reshape");
  EXPECT_EQ(output_shape(graph), Shape{2});
  EXPECT_EQ(graph.value(graph.output).name, "y");
}

TEST(OnnxLowering, GemmKeepsItsFactors) {
  onnx::ModelProto proto = small_model();
  add_initializer(*proto.mutable_graph(), "w", {4, 8}, std::vector<float>(32, 1));
  add_initializer(*proto.mutable_graph(), "c", {1, 4}, std::vector<float>(4, 1));
  onnx::NodeProto& node = add_node(*proto.mutable_graph(), "Gemm", "n", {"x", "w", "c"}, {"y"});
  set_attribute(node, "transB", std::int64_t{1});
  set_attribute(node, "alpha", 0.5F);
  EXPECT_EQ(operations_of(build(proto)), "MatMul Add");
  set_attribute(node, "beta", 2.0F);
  const Graph graph = build(proto);
  EXPECT_EQ(operations_of(graph), "MatMul Mul Add");
  EXPECT_EQ(node_of(graph, "MatMul").attrs.integer("trans_b"), 1);
  EXPECT_EQ(node_of(graph, "MatMul").attrs.real("alpha"), 0.5);
  EXPECT_EQ(output_shape(graph), (Shape{2, 4}));
}

TEST(OnnxLowering, ReductionsTakeAxesFromInputOrAttribute) {
  EXPECT_EQ(output_shape(build(integer_model("ReduceSum", {{-1}}))), (Shape{2, 1}));
  onnx::ModelProto proto = integer_model("ReduceMean", {});
  EXPECT_EQ(output_shape(build(proto)), (Shape{1, 1}));
  set_attribute(*proto.mutable_graph()->mutable_node(0), "axes", Ints{1});
  set_attribute(*proto.mutable_graph()->mutable_node(0), "keepdims", std::int64_t{0});
  EXPECT_EQ(output_shape(build(proto)), Shape{2});
}

onnx::ModelProto image_model(const std::string& type) {
  onnx::ModelProto proto = make_proto("image");
  add_input(*proto.mutable_graph(), "x", DataType::f32, {{"n", 0}, {"", 3}, {"", 9}, {"", 7}});
  add_output(*proto.mutable_graph(), "y", DataType::f32, {});
  onnx::NodeProto& node = add_node(*proto.mutable_graph(), type, "n", {"x"}, {"y"});
  if (type == "GlobalAveragePool" || type == "BatchNormalization") return proto;
  set_attribute(node, "strides", Ints{2, 2});
  if (type != "Conv") set_attribute(node, "kernel_shape", Ints{3, 2});
  return proto;
}

TEST(OnnxLowering, WindowsGetPads) {
  onnx::ModelProto proto = image_model("MaxPool");
  EXPECT_EQ(output_shape(build(proto)), (Shape{2, 3, 4, 3}));
  set_attribute(*proto.mutable_graph()->mutable_node(0), "auto_pad", std::string("SAME_UPPER"));
  const Graph graph = build(proto);
  EXPECT_EQ(output_shape(graph), (Shape{2, 3, 5, 4}));
  EXPECT_EQ(ints(node_of(graph, "MaxPool"), "pads"), (Ints{1, 0, 1, 1}));
  EXPECT_EQ(operations_of(build(image_model("AveragePool"))), "AveragePool");
  EXPECT_EQ(output_shape(build(image_model("GlobalAveragePool"))), (Shape{2, 3, 1, 1}));
}

TEST(OnnxLowering, ConvolutionsTakeTheirKernelFromTheWeights) {
  onnx::ModelProto proto = image_model("Conv");
  add_initializer(*proto.mutable_graph(), "w", {5, 3, 3, 3}, std::vector<float>(135, 1));
  proto.mutable_graph()->mutable_node(0)->add_input("w");
  const Graph graph = build(proto);
  EXPECT_EQ(output_shape(graph), (Shape{2, 5, 4, 3}));
  EXPECT_EQ(node_of(graph, "Conv").inputs.size(), 2U);
  set_attribute(*proto.mutable_graph()->mutable_node(0), "pads", Ints{1, 1});
  EXPECT_NE(build_error(proto).find("pads has 2 numbers, wants 4"), std::string::npos);
}

onnx::ModelProto batch_norm_model() {
  onnx::ModelProto proto = image_model("BatchNormalization");
  for (const char* name : {"scale", "bias", "mean", "var"}) {
    add_initializer(*proto.mutable_graph(), name, {3}, std::vector<float>{1, 2, 3});
    proto.mutable_graph()->mutable_node(0)->add_input(name);
  }
  return proto;
}

TEST(OnnxLowering, BatchNormOutsideTrainingIsArithmetic) {
  const Graph graph = build(batch_norm_model());
  EXPECT_EQ(operations_of(graph), "Sub Mul Reshape Mul Reshape Add");
  EXPECT_EQ(graph.find_value("mean"), kNone);
  EXPECT_EQ(graph.value(graph.find_value("scale")).role, Role::parameter);
  EXPECT_TRUE(graph.next_state.empty());
}

TEST(OnnxLowering, BatchNormInTrainingMovesItsStatistics) {
  onnx::ModelProto proto = batch_norm_model();
  set_attribute(*proto.mutable_graph()->mutable_node(0), "training_mode", std::int64_t{1});
  const Graph graph = build(proto);
  EXPECT_EQ(operations_of(graph), "BatchNorm");
  EXPECT_EQ(graph.value(graph.find_value("var")).role, Role::state);
  EXPECT_EQ(graph.next_state.at(graph.find_value("var")), graph.node(0).outputs[4]);
}

TEST(OnnxLowering, DropoutCountsItsSites) {
  onnx::ModelProto proto = small_model();
  onnx::GraphProto& graph = *proto.mutable_graph();
  add_initializer(graph, "ratio", {}, std::vector<float>{0.25F});
  onnx::TensorProto& training = add_initializer(graph, "training", DataType::boolean, {});
  training.set_raw_data(std::string(1, '\1'));
  add_node(graph, "Dropout", "a", {"x", "ratio", "training"}, {"h"});
  add_node(graph, "Dropout", "b", {"h", "", "training"}, {"g"});
  add_node(graph, "Dropout", "c", {"g", "ratio"}, {"f"});
  add_node(graph, "Relu", "r", {"f"}, {"y"});
  const Graph built = build(proto);
  EXPECT_EQ(operations_of(built), "Dropout Dropout Relu");
  EXPECT_EQ(built.node(0).attrs.real("ratio"), 0.25);
  EXPECT_EQ(built.node(1).attrs.real("ratio"), 0.5);
  EXPECT_EQ(built.node(1).attrs.integer("site"), 1);
  EXPECT_EQ(built.node(1).attrs.integer("sample_rows"), 1);
  EXPECT_EQ(built.find_value("ratio"), kNone);
}

TEST(OnnxLowering, DropoutKnowsTheRowsOfASample) {
  onnx::ModelProto proto = small_model();
  onnx::GraphProto& graph = *proto.mutable_graph();
  add_initializer(graph, "target", {2}, std::vector<std::int64_t>{-1, 2});
  onnx::TensorProto& training = add_initializer(graph, "training", DataType::boolean, {});
  training.set_raw_data(std::string(1, '\1'));
  add_node(graph, "Reshape", "a", {"x", "target"}, {"flat"});
  add_node(graph, "Dropout", "b", {"flat", "", "training"}, {"y"});
  for (const std::int64_t batch : {1, 3}) {
    EXPECT_EQ(node_of(build(proto, batch), "Dropout").attrs.integer("sample_rows"), 4);
  }
}

TEST(OnnxLowering, ClipBoundsAreNoParameters) {
  onnx::ModelProto proto = small_model();
  add_initializer(*proto.mutable_graph(), "limit", {}, std::vector<float>{6});
  add_node(*proto.mutable_graph(), "Clip", "n", {"x", "", "limit"}, {"y"});
  const Graph graph = build(proto);
  EXPECT_FALSE(node_of(graph, "Clip").attrs.has("min"));
  EXPECT_EQ(node_of(graph, "Clip").attrs.real("max"), 6);
  EXPECT_EQ(graph.find_value("limit"), kNone);
}

TEST(OnnxLowering, CastsBetweenFloatsAreNothing) {
  onnx::ModelProto proto = small_model();
  onnx::TensorProto& w = add_initializer(*proto.mutable_graph(), "w", DataType::f16, {8});
  for (int i = 0; i < 8; ++i) w.add_int32_data(0x3e00);  // 1.5
  set_attribute(add_node(*proto.mutable_graph(), "Cast", "c", {"w"}, {"wide"}), "to", std::int64_t{1});
  add_node(*proto.mutable_graph(), "Mul", "m", {"x", "wide"}, {"y"});
  const Graph graph = build(proto);
  EXPECT_EQ(operations_of(graph), "Mul");
  const Value& parameter = graph.value(graph.find_value("w"));
  EXPECT_EQ(parameter.dtype, DataType::f32);
  EXPECT_EQ(elements_of(*parameter.source), std::vector<float>(8, 1.5F));
}

TEST(OnnxLowering, TriluIsAChoice) {
  onnx::ModelProto proto = small_model();
  set_attribute(add_node(*proto.mutable_graph(), "Trilu", "t", {"x"}, {"y"}), "upper", std::int64_t{0});
  const Graph graph = build(proto);
  EXPECT_EQ(operations_of(graph), "Where");
  const auto mask = elements_of(*graph.value(graph.node(0).inputs[0]).source);
  EXPECT_EQ((std::vector<float>(mask.begin(), mask.begin() + 3)), (std::vector<float>{1, 0, 0}));
  EXPECT_EQ((std::vector<float>(mask.begin() + 8, mask.begin() + 11)), (std::vector<float>{1, 1, 0}));
}

}  // namespace
}  // namespace dml::test
