#include "models/onnx/opaque_model.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "kernels/error.h"
#include "models/onnx/proto.h"
#include "models/op.h"

namespace dml {
namespace {

/// Two layers of an operation that is not read; the weights lie in a file that is not there.
onnx::ModelProto foreign_model() {
  onnx::ModelProto proto = make_proto("foreign");
  onnx::GraphProto& graph = *proto.mutable_graph();
  add_input(graph, "x", DataType::f32, {{"batch", 0}, {"", 8}});
  add_output(graph, "y", DataType::f32, {{"batch", 0}, {"", 4}});
  onnx::NodeProto& first = add_node(graph, "MatMulNBits", "/layers.0/MatMul", {"x", "w"}, {"h"});
  first.set_domain("com.microsoft");
  set_attribute(first, "K", std::int64_t{8});
  add_node(graph, "MatMul", "/layers.1/MatMul", {"h", "v"}, {"y"});
  add_node(graph, "Mystery", "/layers.1/Mystery", {"h"}, {"z"}).set_domain("example.org");
  add_initializer(graph, "v", DataType::f32, {16, 4});
  onnx::TensorProto& weight = add_initializer(graph, "w", DataType::f32, {8, 16});
  weight.set_data_location(onnx::TensorProto::EXTERNAL);
  auto& entry = *weight.add_external_data();
  entry.set_key("location");
  entry.set_value("nowhere.data");
  onnx::ValueInfoProto& told = *graph.add_value_info();
  told.set_name("h");
  told.mutable_type()->mutable_tensor_type()->set_elem_type(onnx::TensorProto::FLOAT);
  told.mutable_type()->mutable_tensor_type()->mutable_shape()->add_dim()->set_dim_param("batch");
  told.mutable_type()->mutable_tensor_type()->mutable_shape()->add_dim()->set_dim_value(16);
  return proto;
}

class OpaqueModelTest : public testing::Test {
 protected:
  std::shared_ptr<const OpaqueModel> load(const onnx::ModelProto& proto) const {
    std::ofstream(path_, std::ios::binary) << proto.SerializeAsString();
    return OpaqueModel::load(path_);
  }
  ~OpaqueModelTest() override { std::filesystem::remove(path_); }

  std::string path_ =
      (std::filesystem::temp_directory_path() / ("opaque_" + std::to_string(getpid()) + ".onnx")).string();
};

TEST_F(OpaqueModelTest, IsNeededWhereOperationsOrDataAreForeign) {
  EXPECT_TRUE(load(foreign_model())->is_needed());
  onnx::ModelProto known = foreign_model();
  known.mutable_graph()->mutable_node()->DeleteSubrange(2, 1);
  known.mutable_graph()->mutable_node(0)->set_op_type("MatMul");
  known.mutable_graph()->mutable_node(0)->clear_domain();
  EXPECT_TRUE(load(known)->is_needed()) << "the data is still missing";
  known.mutable_graph()->mutable_initializer(1)->clear_external_data();
  EXPECT_FALSE(load(known)->is_needed());
}

TEST_F(OpaqueModelTest, TakesShapesFromTheFile) {
  BuildOptions options;
  options.batch = 3;
  const Graph graph = load(foreign_model())->build(options);
  ASSERT_EQ(graph.num_nodes(), 3);
  EXPECT_EQ(graph.node(0).op->name, "com.microsoft.MatMulNBits");
  EXPECT_EQ(graph.node(0).scope, "layers.0");
  EXPECT_EQ(graph.shape(graph.node(0).outputs[0]), (Shape{3, 16}));
  EXPECT_EQ(graph.shape(graph.output), (Shape{3, 4}));
  EXPECT_EQ(graph.shape(graph.node(2).outputs[0]), (Shape{0})) << "the file does not tell it";
}

TEST_F(OpaqueModelTest, KnowsTheWorkOfMatrixProducts) {
  BuildOptions options;
  options.batch = 3;
  const Graph graph = load(foreign_model())->build(options);
  EXPECT_EQ(cost_of(graph, graph.node(0)).flops, 2.0 * 3 * 16 * 8);
  EXPECT_EQ(cost_of(graph, graph.node(1)).flops, 2.0 * 3 * 4 * 16);
  EXPECT_EQ(cost_of(graph, graph.node(2)).flops, 0);
  EXPECT_EQ(cost_of(graph, graph.node(1)).bytes, 4.0 * (3 * 16 + 16 * 4 + 3 * 4));
}

TEST_F(OpaqueModelTest, ListsWhatItDoesNotKnow) {
  const auto model = load(foreign_model());
  EXPECT_EQ(model->num_parameters(), 8 * 16 + 16 * 4);
  const std::vector<std::string> notes = model->notes();
  ASSERT_EQ(notes.size(), 4U);
  EXPECT_EQ(notes[1], "operations that are not read: com.microsoft.MatMulNBits (1), example.org.Mystery (1)");
  EXPECT_EQ(notes[2], "external data that is not there: 'nowhere.data'");
  EXPECT_NE(notes[3].find("shapes of 1 values"), std::string::npos);
}

TEST_F(OpaqueModelTest, RefusesWhatIsNoModel) {
  std::ofstream(path_, std::ios::binary) << "no model";
  EXPECT_THROW(OpaqueModel::load(path_), ModelError);
  EXPECT_THROW(OpaqueModel::load(path_ + ".not"), IoError);
}

}  // namespace
}  // namespace dml
