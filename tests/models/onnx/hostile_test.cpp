// Files that are damaged or hostile: one clear error for each, no crash.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/models/onnx/models.h"

namespace dml::test {
namespace {

namespace fs = std::filesystem;

void expect_error(const onnx::ModelProto& proto, const std::string& part) {
  EXPECT_NE(build_error(proto).find(part), std::string::npos) << build_error(proto);
}

onnx::ModelProto linear_model() {
  onnx::ModelProto proto = small_model();
  add_initializer(*proto.mutable_graph(), "w", {8, 4}, std::vector<float>(32, 0.5F));
  add_node(*proto.mutable_graph(), "MatMul", "m", {"x", "w"}, {"y"});
  return proto;
}

TEST(OnnxHostile, FilesThatAreNone) {
  EXPECT_THROW(OnnxModel::load("/nonexistent/model.onnx"), IoError);
  EXPECT_THROW(OnnxModel::load("/tmp"), IoError);
  EXPECT_THROW(OnnxModel::parse("", "empty"), ModelError);
  EXPECT_THROW(OnnxModel::parse("This is no model.", "text"), ModelError);
  EXPECT_THROW(OnnxModel::parse(std::string(1000, '\0'), "zeros"), ModelError);
}

TEST(OnnxHostile, Versions) {
  onnx::ModelProto proto = linear_model();
  proto.mutable_opset_import(0)->set_version(12);
  expect_error(proto, "opset 12; 13 to 23 are read");
  proto.mutable_opset_import(0)->set_version(24);
  expect_error(proto, "opset 24");
  proto = linear_model();
  proto.set_ir_version(14);
  expect_error(proto, "IR version 14");
}

TEST(OnnxHostile, PayloadsThatDoNotFit) {
  onnx::ModelProto proto = linear_model();
  onnx::TensorProto& w = *proto.mutable_graph()->mutable_initializer(0);
  w.mutable_raw_data()->pop_back();
  expect_error(proto, "raw_data holds 127 bytes, its shape 8x4 wants 128");
  w.clear_raw_data();
  w.add_float_data(1);
  expect_error(proto, "float_data holds 1 elements, its shape 8x4 wants 32");
  w.set_dims(0, -8);
  expect_error(proto, "dimension of -8");
  w.set_dims(0, std::int64_t{1} << 40);
  expect_error(proto, "more than 2^40 elements");
  w.set_data_type(onnx::TensorProto::STRING);
  expect_error(proto, "is STRING");
  w.set_data_type(4711);
  expect_error(proto, "type 4711");
}

TEST(OnnxHostile, NamesThatAreWrong) {
  onnx::ModelProto proto = linear_model();
  proto.mutable_graph()->mutable_node(0)->set_input(1, "gone");
  expect_error(proto, "node 'm' (MatMul) reads 'gone', which is neither an input, an initializer, nor computed");
  proto = linear_model();
  add_initializer(*proto.mutable_graph(), "w", {1}, std::vector<float>{1});
  expect_error(proto, "two initializers are named 'w'");
  proto = linear_model();
  add_node(*proto.mutable_graph(), "Relu", "again", {"x"}, {"y"});
  expect_error(proto, "computes 'y', which is defined already");
  proto = linear_model();
  proto.mutable_graph()->mutable_output(0)->set_name("z");
  expect_error(proto, "output 'z' is not computed");
  proto = linear_model();
  proto.mutable_graph()->mutable_node(0)->set_input(1, "later\n");
  add_node(*proto.mutable_graph(), "Relu", "r", {"y"}, {"later\n"});
  expect_error(proto, "reads 'later?', which is computed only after it");
}

TEST(OnnxHostile, ShapesThatDisagree) {
  onnx::ModelProto proto = linear_model();
  proto.mutable_graph()->mutable_initializer(0)->set_dims(0, 4);
  proto.mutable_graph()->mutable_initializer(0)->set_dims(1, 8);
  expect_error(proto, "node 'm' (MatMul)");
  proto = linear_model();
  onnx::NodeProto& node = add_node(*proto.mutable_graph(), "Softmax", "s", {"y"}, {"p"});
  set_attribute(node, "axis", std::int64_t{7});
  proto.mutable_graph()->mutable_output(0)->set_name("p");
  expect_error(proto, "node 's' (Softmax)");
  node.mutable_attribute(0)->set_type(onnx::AttributeProto::FLOAT);
  expect_error(proto, "attribute 'axis' has type");
}

TEST(OnnxHostile, ListsAllUnsupportedOperationsAtOnce) {
  onnx::ModelProto proto = linear_model();
  onnx::GraphProto& graph = *proto.mutable_graph();
  for (const char* name : {"a", "b", "c", "d"}) add_node(graph, "Einsum", name, {"y"}, {std::string(name) + "_out"});
  add_node(graph, "FlashThing", "f", {"y"}, {"f_out"}).set_domain("com.example");
  const std::string message = build_error(proto);
  EXPECT_NE(message.find("Einsum (opset 17) in 'a', 'b', 'c' and 1 more"), std::string::npos) << message;
  EXPECT_NE(message.find("FlashThing (domain com.example) in 'f'"), std::string::npos) << message;
}

TEST(OnnxHostile, AttemptsToFillTheMemory) {
  onnx::ModelProto proto = small_model();
  onnx::GraphProto& graph = *proto.mutable_graph();
  add_initializer(graph, "huge", {2}, std::vector<std::int64_t>{1 << 20, 1 << 19});
  add_node(graph, "ConstantOfShape", "c", {"huge"}, {"ones"});
  add_node(graph, "Add", "a", {"x", "ones"}, {"y"});
  expect_error(proto, "too large");
  proto = small_model();
  add_initializer(*proto.mutable_graph(), "target", {2}, std::vector<std::int64_t>{std::int64_t{1} << 62, 8});
  add_node(*proto.mutable_graph(), "Expand", "e", {"x", "target"}, {"y"});
  expect_error(proto, "more than 2^40 elements");
}

// A chain longer than a thread's stack could follow by recursion.
TEST(OnnxHostile, LongChainsOfConstants) {
  onnx::ModelProto proto = small_model();
  onnx::GraphProto& graph = *proto.mutable_graph();
  add_initializer(graph, "c0", {1}, std::vector<float>{1});
  for (int i = 0; i < 20000; ++i) {
    add_node(graph, "Neg", "", {"c" + std::to_string(i)}, {"c" + std::to_string(i + 1)});
  }
  add_node(graph, "Equal", "e", {"c20000", "c0"}, {"is_same"});
  add_node(graph, "Where", "w", {"is_same", "x", "c0"}, {"y"});
  EXPECT_EQ(operations_of(build(proto)), "Where");
}

class ExternalData : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("dml_external_" + std::to_string(::getpid()));
    fs::create_directories(folder_ / "model");
    std::ofstream(folder_ / "model" / "weights.bin") << std::string(256, '\1');
    std::ofstream(folder_ / "secret.bin") << std::string(256, '\2');
  }
  void TearDown() override { fs::remove_all(folder_); }

  /// The error of a model whose weight lies at `location`.
  std::string error_at(const std::string& location, const std::string& offset = "0",
                       const std::string& length = "128") {
    onnx::ModelProto proto = linear_model();
    onnx::TensorProto& w = *proto.mutable_graph()->mutable_initializer(0);
    w.clear_raw_data();
    w.set_data_location(onnx::TensorProto::EXTERNAL);
    for (const auto& [key, value] :
         {std::pair<std::string, std::string>{"location", location}, {"offset", offset}, {"length", length}}) {
      auto& entry = *w.add_external_data();
      entry.set_key(key);
      entry.set_value(value);
    }
    const std::string path = folder_ / "model" / "m.onnx";
    std::ofstream stream(path, std::ios::binary);
    EXPECT_TRUE(proto.SerializeToOstream(&stream));
    stream.close();
    return error_of([&] { OnnxModel::load(path)->build({.batch = 2, .dims = {}, .ties = {}, .unties = {}}); });
  }

  fs::path folder_;
};

TEST_F(ExternalData, StaysInTheFolder) {
  fs::create_symlink(folder_ / "secret.bin", folder_ / "model" / "link.bin");
  fs::create_symlink(folder_ / "model" / "weights.bin", folder_ / "model" / "inside.bin");
  EXPECT_EQ(error_at("weights.bin"), "no error");
  EXPECT_EQ(error_at("./weights.bin"), "no error");
  EXPECT_EQ(error_at("inside.bin"), "no error");
  for (const std::string& location : {std::string("../secret.bin"), std::string("link.bin"),
                                      (folder_ / "secret.bin").string(), std::string("a/../../secret.bin")}) {
    EXPECT_NE(error_at(location).find("leaves the folder"), std::string::npos) << error_at(location);
  }
  EXPECT_NE(error_at("missing.bin").find("it belongs beside"), std::string::npos) << error_at("missing.bin");
  EXPECT_NE(error_at("").find("without a location"), std::string::npos);
}

TEST_F(ExternalData, FitsTheFile) {
  EXPECT_EQ(error_at("weights.bin", "128"), "no error");
  EXPECT_NE(error_at("weights.bin", "129").find("truncated?"), std::string::npos);
  EXPECT_NE(error_at("weights.bin", "9223372036854775807").find("truncated?"), std::string::npos);
  EXPECT_NE(error_at("weights.bin", "-1").find("wants a number of bytes"), std::string::npos);
  EXPECT_NE(error_at("weights.bin", "99999999999999999999").find("wants a number of bytes"), std::string::npos);
  EXPECT_NE(error_at("weights.bin", "0", "64").find("wants 128"), std::string::npos);
}

}  // namespace
}  // namespace dml::test
