// Graphs as files of our own domain: what is written is read again, and what is damaged or hostile is one clear error.
#include "models/onnx/graph_file.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "models/autodiff.h"
#include "models/loss.h"
#include "tests/models/onnx/models.h"
#include "tests/models/small_graph.h"

namespace dml::test {
namespace {

namespace fs = std::filesystem;

Graph training_graph() {
  SmallGraph g;
  const ValueId x = g.input("x", {2, 4});
  const ValueId w = g.parameter("w", {4, 3}, std::vector<float>(12, 0.25F));
  const ValueId b = g.parameter("b", {3}, {1, 2, 3});
  const ValueId y = g.graph.add("MatMul", {x, w, b}, Attributes().set("alpha", 1.0 / 3), "y");
  const ValueId kept = g.graph.add("Where", {g.booleans({2, 3}, {1, 0, 1, 1, 0, 1}), y, g.constant(0.5F)}, {}, "kept");
  g.graph.output = g.graph.add("Reshape", {kept}, Attributes().set("shape", std::vector<std::int64_t>{6, 1}), "out");
  append_loss(g.graph, "mse", DataType::f32, Shape{6, 1});
  append_backward(g.graph);
  make_names_unique(g.graph);
  return std::move(g.graph);
}

/// All nodes, and a sum of w's gradient.
GraphFile whole_file() {
  GraphFile file{"part", training_graph(), {}, {{"note", "text"}}};
  for (NodeId id = 0; id < file.graph.num_nodes(); ++id) file.run.emplace_back(id);
  const ValueId w = file.graph.find_value("w");
  MessageNode sum{"AllReduce", "sum", {file.graph.value(file.graph.gradient_of.at(w)).name}, {"total"}, {}};
  sum.attrs.set("group", std::string("d")).set("parameter", std::string("w"));
  sum.attrs.set("ranks", std::vector<std::int64_t>{0, 3});
  file.run.emplace_back(std::move(sum));
  return file;
}

class OnnxGraphFile : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("dml_graph_file_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string bytes_of(const GraphFile& file) {
    const std::string path = folder_ / "file.onnx";
    write_graph(file, {}, path);
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  onnx::ModelProto proto_of(const GraphFile& file) {
    onnx::ModelProto proto;
    EXPECT_TRUE(proto.ParseFromString(bytes_of(file)));
    return proto;
  }

  static std::string read_error(const onnx::ModelProto& proto) {
    return error_of([&] { parse_graph(proto.SerializeAsString(), "file"); });
  }

  static void expect_error(const onnx::ModelProto& proto, const std::string& part) {
    EXPECT_NE(read_error(proto).find(part), std::string::npos) << read_error(proto);
  }

  static nlohmann::json table_of(const onnx::ModelProto& proto) {
    for (const auto& entry : proto.metadata_props()) {
      if (entry.key() == "dmltrain.graph") return nlohmann::json::parse(entry.value());
    }
    return {};
  }

  static onnx::ModelProto with_table(onnx::ModelProto proto, const std::string& table) {
    for (auto& entry : *proto.mutable_metadata_props()) {
      if (entry.key() == "dmltrain.graph") entry.set_value(table);
    }
    return proto;
  }

  fs::path folder_;
};

void expect_same(const Graph& a, const Graph& b) {
  EXPECT_EQ(structure_of(a), structure_of(b));
  EXPECT_EQ(a.inputs, b.inputs);
  EXPECT_EQ(std::tuple(a.output, a.label, a.loss), std::tuple(b.output, b.label, b.loss));
  EXPECT_EQ(a.gradient_of, b.gradient_of);
  EXPECT_EQ(a.next_state, b.next_state);
  ASSERT_EQ(a.num_values(), b.num_values());
  for (ValueId id = 0; id < a.num_values(); ++id) {
    EXPECT_EQ(a.value(id).dtype, b.value(id).dtype);
    EXPECT_EQ(a.shape(id), b.shape(id));
    EXPECT_EQ(a.value(id).producer, b.value(id).producer);
    if (a.value(id).source == nullptr || a.value(id).dtype != DataType::f32) continue;
    EXPECT_EQ(elements_of(*a.value(id).source), elements_of(*b.value(id).source)) << a.value(id).name;
  }
  for (NodeId id = 0; id < a.num_nodes(); ++id) {
    EXPECT_EQ(a.node(id).attrs.all(), b.node(id).attrs.all()) << a.node(id).name;
    EXPECT_EQ(a.node(id).phase, b.node(id).phase);
    EXPECT_EQ(a.node(id).forward, b.node(id).forward);
  }
}

TEST_F(OnnxGraphFile, IsReadAsWritten) {
  const GraphFile file = whole_file();
  const GraphFile read = parse_graph(bytes_of(file), "file");
  expect_same(file.graph, read.graph);
  EXPECT_EQ(file.run, read.run);
  EXPECT_EQ(file.notes, read.notes);
  EXPECT_EQ(file.name, read.name);
  EXPECT_EQ(only(read.graph, "MatMul").attrs.real("alpha"), 1.0 / 3);
}

TEST_F(OnnxGraphFile, ElementsOfOtherTypesAreKept) {
  const GraphFile read = parse_graph(bytes_of(whole_file()), "file");
  std::vector<std::int64_t> elements(6);
  read.graph.value(only(read.graph, "Where").inputs[0]).source->read_i64(elements.data());
  EXPECT_EQ(elements, (std::vector<std::int64_t>{1, 0, 1, 1, 0, 1}));
}

TEST_F(OnnxGraphFile, OfNodesThatRunElsewhereTheStructureIsKept) {
  GraphFile file = whole_file();
  file.run.clear();
  file.run.emplace_back(NodeId{0});
  const GraphFile read = parse_graph(bytes_of(file), "file");
  EXPECT_EQ(structure_of(file.graph), structure_of(read.graph));
  EXPECT_EQ(read.run.size(), 1U);
  EXPECT_TRUE(read.graph.node(0).attrs.has("alpha"));
  EXPECT_FALSE(only(read.graph, "Reshape").attrs.has("shape"));
  EXPECT_EQ(proto_of(file).graph().initializer_size(), 2);
}

TEST_F(OnnxGraphFile, AlsoTakesWeightsThatNothingReads) {
  GraphFile file = whole_file();
  file.run.clear();
  const std::string path = folder_ / "also.onnx";
  const ValueId b = file.graph.find_value("b");
  write_graph(file, {b}, path);
  EXPECT_EQ(elements_of(*read_graph(path).graph.value(b).source), (std::vector<float>{1, 2, 3}));
}

TEST_F(OnnxGraphFile, NamesBecomeUnique) {
  SmallGraph g;
  const ValueId x = g.input("x", {2});
  const ValueId first = g.graph.add("Relu", {x}, {}, "w");
  g.graph.add("Relu", {first}, {}, "w");
  const ValueId w = g.parameter("w", {2});
  make_names_unique(g.graph);
  EXPECT_EQ(g.graph.value(w).name, "w");
  EXPECT_EQ(g.graph.value(x).name, "x");
  EXPECT_NE(g.graph.value(first).name, g.graph.value(2).name);
  EXPECT_NE(g.graph.value(first).name, "w");
}

TEST_F(OnnxGraphFile, FilesThatAreNone) {
  const std::string bytes = bytes_of(whole_file());
  EXPECT_THROW(read_graph("/nonexistent/rank_0.onnx"), IoError);
  EXPECT_THROW(parse_graph("", "empty"), ModelError);
  EXPECT_THROW(parse_graph("This is no model.", "text"), ModelError);
  for (std::size_t length = 0; length + 1 < bytes.size(); length += 97) {
    EXPECT_THROW(parse_graph(bytes.substr(0, length), "cut"), Error) << length;
  }
  EXPECT_NE(error_of([] { read_graph(fixture("gpt_tiny.ts17.onnx")); }).find("dmltrain model partition"),
            std::string::npos);
}

TEST_F(OnnxGraphFile, NodesThatAreWrong) {
  const onnx::ModelProto good = proto_of(whole_file());
  const auto with = [&](auto change) {
    onnx::ModelProto proto = good;
    change(*proto.mutable_graph()->mutable_node(0), *proto.mutable_graph());
    return proto;
  };
  expect_error(with([](auto& node, auto&) { node.set_op_type("MatMil"); }), "no operation 'MatMil'");
  expect_error(with([](auto& node, auto&) { node.set_domain("other"); }), "domain 'other'");
  expect_error(with([](auto& node, auto&) { node.set_input(0, "gone"); }), "reads 'gone', which is not there");
  expect_error(with([](auto& node, auto&) { node.add_input("w"); }), "has 4 inputs");
  expect_error(with([](auto& node, auto&) { node.mutable_input()->RemoveLast(); }), "");
  expect_error(with([](auto& node, auto&) { node.set_op_type("Relu"); }), "Relu");
  expect_error(with([](auto& node, auto&) { node.set_output(0, "x"); }), "which is there already");
  expect_error(with([](auto&, auto& graph) { graph.mutable_node()->DeleteSubrange(1, 1); }), "not there before it");
  expect_error(with([](auto& node, auto& graph) { node.Swap(graph.mutable_node(2)); }), "not there before it");
  expect_error(with([](auto& node, auto&) { node.clear_attribute(); }), "number -1");
  expect_error(with([](auto&, auto& graph) {
                 for (auto& attribute : *graph.mutable_node(2)->mutable_attribute()) {
                   if (attribute.name() == "shape") attribute.set_ints(0, 7);
                 }
               }),
               "Reshape");
  expect_error(with([](auto&, auto& graph) {
                 for (auto& attribute : *graph.mutable_node(2)->mutable_attribute()) {
                   if (attribute.name() == "shape") attribute.set_type(onnx::AttributeProto::INT);
                 }
               }),
               "another type");
}

TEST_F(OnnxGraphFile, InitializersThatAreWrong) {
  const onnx::ModelProto good = proto_of(whole_file());
  const auto with = [&](auto change) {
    onnx::ModelProto proto = good;
    change(*proto.mutable_graph()->mutable_initializer(0), *proto.mutable_graph());
    return proto;
  };
  expect_error(with([](auto& tensor, auto&) { tensor.mutable_raw_data()->pop_back(); }), "raw_data holds 47 bytes");
  expect_error(with([](auto& tensor, auto&) { tensor.set_dims(0, 3), tensor.set_dims(1, 4); }),
               "its table says f32 4x3");
  expect_error(with([](auto& tensor, auto&) { tensor.set_data_type(onnx::TensorProto::INT32); }), "is i32");
  expect_error(with([](auto& tensor, auto&) { tensor.clear_raw_data(); }), "its table says");
  expect_error(with([](auto& tensor, auto&) { tensor.set_name("unknown"); }), "'unknown'");
  expect_error(with([](auto&, auto& graph) { graph.mutable_initializer()->RemoveLast(); }), "not there before it");
}

TEST_F(OnnxGraphFile, TablesThatAreWrong) {
  const onnx::ModelProto good = proto_of(whole_file());
  const nlohmann::json table = table_of(good);
  const auto expect_refused = [&](auto change, const std::string& part) {
    nlohmann::json other = table;
    change(other);
    expect_error(with_table(good, other.dump()), part);
  };
  expect_error(with_table(good, "{"), "damaged");
  expect_error(with_table(good, "[1]"), "damaged");
  expect_refused([](auto& t) { t["version"] = 2; }, "version is 2");
  expect_refused([](auto& t) { t.erase("values"); }, "damaged");
  expect_refused([](auto& t) { t["values"].erase(0); }, "");
  expect_refused([](auto& t) { t["values"][0][1] = "f7"; }, "data type 'f7'");
  expect_refused([](auto& t) { t["values"][0][2] = {-4, 1}; }, "dimension of -4");
  expect_refused([](auto& t) { t["values"][0][3] = "king"; }, "role 'king'");
  expect_refused([](auto& t) { t["values"][1][0] = t["values"][0][0]; }, "two values are named");
  expect_refused([](auto& t) { t["nodes"].push_back(0); }, "is missing");
  expect_refused([](auto& t) { t["nodes"].erase(0); }, "number");
  expect_refused([](auto& t) { t["output"] = 1000; }, "value 1000");
  expect_refused([](auto& t) { t["loss"] = -2; }, "value -2");
  expect_refused([](auto& t) { t["inputs"] = {1}; }, "role");
  expect_refused([](auto& t) { t["gradient_of"][0][0] = t["inputs"][0]; }, "role");
  expect_refused([](auto& t) { t["nodes"].push_back({"Relu", "r", {99}, {0}, "F", -1}); }, "value 99");
  expect_refused([](auto& t) { t["nodes"].push_back({"Relu", "r", {0}, {0}, "F", -1}); }, "there already");
  expect_refused([](auto& t) { t["nodes"].push_back({"Relo", "r", {0}, {0}, "F", -1}); }, "'Relo'");
  expect_refused([](auto& t) { t["nodes"].push_back({"Relu", "r", {0}, {0}, "X", -1}); }, "phase 'X'");
  expect_refused([](auto& t) { t["nodes"].push_back({"Relu", "r", {0}, {0}, "F", 77}); }, "node 77");
}

}  // namespace
}  // namespace dml::test
