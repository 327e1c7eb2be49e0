// Batch sizes: symbolic ones, those written into the graph, and those that cannot be made free.
#include "tests/models/onnx/models.h"

namespace dml::test {
namespace {

using Ints = std::vector<std::int64_t>;

/// x of 4 x 6 x 8, and y = type(x, target).
onnx::ModelProto written_model(const std::string& type, const Ints& target,
                               const std::vector<OnnxDim>& dims = {{"", 4}, {"", 6}, {"", 8}}) {
  onnx::ModelProto proto = make_proto("written");
  onnx::GraphProto& graph = *proto.mutable_graph();
  add_input(graph, "x", DataType::f32, dims);
  add_output(graph, "y", DataType::f32, {});
  add_initializer(graph, "target", {static_cast<std::int64_t>(target.size())}, target);
  add_node(graph, type, "n", {"x", "target"}, {"y"});
  return proto;
}

Shape shape_at(const onnx::ModelProto& proto, std::int64_t batch) {
  const Graph graph = build(proto, batch);
  return graph.shape(graph.output);
}

TEST(OnnxBatch, IsFreedInReshape) {
  EXPECT_EQ(shape_at(written_model("Reshape", {4, 6, 2, 4}), 3), (Shape{3, 6, 2, 4}));
  EXPECT_EQ(shape_at(written_model("Reshape", {24, 8}), 3), (Shape{18, 8}));
  EXPECT_EQ(shape_at(written_model("Reshape", {1, 4, 48}), 3), (Shape{1, 3, 48}));
  EXPECT_EQ(shape_at(written_model("Reshape", {-1, 8}), 5), (Shape{30, 8}));
  EXPECT_EQ(shape_at(written_model("Reshape", {4, 6, 2, 4}), 4), (Shape{4, 6, 2, 4}));
}

TEST(OnnxBatch, IsFollowedThroughMergedDims) {
  onnx::ModelProto proto = written_model("Reshape", {24, 8});
  onnx::GraphProto& graph = *proto.mutable_graph();
  graph.mutable_node(0)->set_output(0, "flat");
  add_initializer(graph, "back", {4}, Ints{4, 6, 2, 4});
  add_node(graph, "Reshape", "b", {"flat", "back"}, {"heads"});
  set_attribute(add_node(graph, "Transpose", "t", {"heads"}, {"turned"}), "perm", Ints{2, 0, 1, 3});
  add_initializer(graph, "merged", {3}, Ints{8, 6, 4});
  add_node(graph, "Reshape", "m", {"turned", "merged"}, {"pairs"});
  add_initializer(graph, "apart", {4}, Ints{2, 4, 6, 4});
  add_node(graph, "Reshape", "a", {"pairs", "apart"}, {"y"});
  EXPECT_EQ(shape_at(proto, 3), (Shape{2, 3, 6, 4}));
}

TEST(OnnxBatch, ThatIsDividedIsAnError) {
  const onnx::ModelProto proto = written_model("Reshape", {2, 2, 48});
  EXPECT_EQ(shape_at(proto, 4), (Shape{2, 2, 48}));
  const std::string message = build_error(proto, 3);
  EXPECT_NE(message.find("batch size 4 is written into the graph and cannot be made 3: node 'n' (Reshape)"),
            std::string::npos)
      << message;
}

TEST(OnnxBatch, IsFreedInExpand) {
  onnx::ModelProto proto = written_model("Expand", {4, 6, 8});
  EXPECT_EQ(shape_at(proto, 3), (Shape{3, 6, 8}));
  onnx::GraphProto& graph = *proto.mutable_graph();
  add_initializer(graph, "table", {6, 8}, std::vector<float>(48, 1));
  graph.mutable_node(0)->set_input(0, "table");
  graph.mutable_node(0)->set_output(0, "rows");
  add_node(graph, "Add", "a", {"x", "rows"}, {"y"});
  EXPECT_EQ(shape_at(proto, 3), (Shape{3, 6, 8}));
}

TEST(OnnxBatch, OfWhichAFixedPartIsTakenIsAnError) {
  onnx::ModelProto proto = written_model("Gather", {0, 1});
  EXPECT_NE(build_error(proto, 8).find("it takes a fixed part of the batch"), std::string::npos)
      << build_error(proto, 8);
  proto = written_model("ReduceMean", {0}, {{"", 4}, {"", 6}});
  EXPECT_EQ(shape_at(proto, 8), (Shape{1, 6})) << "a mean over the batch is no part of it";
}

TEST(OnnxBatch, ThatWasTracedUnderASymbolicNameIsFound) {
  const onnx::ModelProto proto = written_model("Reshape", {4, 6, 2, 4}, {{"N", 0}, {"", 6}, {"", 8}});
  EXPECT_EQ(shape_at(proto, 4), (Shape{4, 6, 2, 4}));
  EXPECT_EQ(shape_at(proto, 5), (Shape{5, 6, 2, 4}));
}

TEST(OnnxBatch, OtherSymbolicDimsWantAnExtent) {
  const onnx::ModelProto proto = written_model("Reshape", {0, -1}, {{"N", 0}, {"T", 0}, {"width", 0}});
  EXPECT_NE(build_error(proto).find("T, width; give --dim NAME=N"), std::string::npos) << build_error(proto);
  const auto model = make_model(proto, "m");
  const Graph graph = model->build({.batch = 2, .dims = {{"T", 3}, {"width", 5}}, .ties = {}, .unties = {}});
  EXPECT_EQ(graph.shape(graph.output), (Shape{2, 15}));
  const auto error = [&](const std::string& name, std::int64_t extent) {
    BuildOptions options{.batch = 2, .dims = {{"T", 3}, {"width", 5}}, .ties = {}, .unties = {}};
    options.dims[name] = extent;
    return error_of([&] { model->build(options); });
  };
  EXPECT_NE(error("N", 4).find("it is the batch dim"), std::string::npos);
  EXPECT_NE(error("H", 4).find("no such symbolic dim"), std::string::npos);
  EXPECT_NE(error("T", 0).find("wants at least 1"), std::string::npos);
}

}  // namespace
}  // namespace dml::test
