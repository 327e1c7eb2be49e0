// Graph, its attributes, and the sources of its constants.
#include "models/graph.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "kernels/error.h"
#include "tests/models/small_graph.h"

namespace dml {
namespace {

std::vector<float> all_of(const TensorSource& source) {
  std::vector<float> elements(static_cast<std::size_t>(source.shape().num_elements()));
  source.read_all_f32(elements.data());
  return elements;
}

template <typename T>
std::vector<float> read_as_float(DataType type, const std::vector<T>& stored) {
  const auto bytes = reinterpret_cast<const std::byte*>(stored.data());
  return all_of(*make_source(type, Shape{static_cast<std::int64_t>(stored.size())}, bytes, nullptr));
}

TEST(TensorSource, ConvertsEveryType) {
  EXPECT_EQ(read_as_float<double>(DataType::f64, {0.5, -3}), (std::vector<float>{0.5F, -3}));
  EXPECT_EQ(read_as_float<std::uint16_t>(DataType::bf16, {0x3F80, 0xC040}), (std::vector<float>{1, -3}));
  EXPECT_EQ(read_as_float<std::int64_t>(DataType::i64, {7, -9}), (std::vector<float>{7, -9}));
  EXPECT_EQ(read_as_float<std::int32_t>(DataType::i32, {7, -9}), (std::vector<float>{7, -9}));
  EXPECT_EQ(read_as_float<std::uint8_t>(DataType::u8, {7, 255}), (std::vector<float>{7, 255}));
  EXPECT_EQ(read_as_float<std::uint8_t>(DataType::boolean, {0, 3}), (std::vector<float>{0, 1}));
}

TEST(TensorSource, ConvertsHalf) {
  const auto halves =
      read_as_float<std::uint16_t>(DataType::f16, {0x3C00, 0xC200, 0x0001, 0x83FF, 0x7BFF, 0x7C00, 0x7E00});
  EXPECT_EQ(halves[0], 1);
  EXPECT_EQ(halves[1], -3);
  EXPECT_EQ(halves[2], std::ldexp(1.0F, -24));
  EXPECT_EQ(halves[3], -std::ldexp(1023.0F, -24));
  EXPECT_EQ(halves[4], 65504);
  EXPECT_TRUE(std::isinf(halves[5]));
  EXPECT_TRUE(std::isnan(halves[6]));
}

TEST(TensorSource, ReadsBoxes) {
  std::vector<float> elements(24);
  for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = static_cast<float>(i);
  const auto source = make_source(Shape{2, 3, 4}, elements);
  std::vector<float> box(4);
  source->read_f32(box.data(), Shape{1, 1, 2}, Shape{1, 2, 2});
  EXPECT_EQ(box, (std::vector<float>{18, 19, 22, 23}));
  std::vector<float> rows(16);
  source->read_f32(rows.data(), Shape{0, 1, 0}, Shape{2, 2, 4});
  EXPECT_EQ(rows, (std::vector<float>{4, 5, 6, 7, 8, 9, 10, 11, 16, 17, 18, 19, 20, 21, 22, 23}));
  EXPECT_THROW(source->read_f32(box.data(), Shape{0, 2, 0}, Shape{1, 2, 1}), std::invalid_argument);
}

TEST(TensorSource, ReadsIntegersAndRefusesFloats) {
  const auto source = make_source(Shape{3}, {1, 0, 5}, DataType::boolean);
  std::vector<std::int64_t> elements(3);
  source->read_i64(elements.data());
  EXPECT_EQ(elements, (std::vector<std::int64_t>{1, 0, 1}));
  EXPECT_THROW(make_source(Shape{1}, {1.0F})->read_i64(elements.data()), IoError);
  EXPECT_THROW(make_source(Shape{2}, {1.0F}), std::invalid_argument);
}

TEST(Attributes, AreLookedUpByNameAndType) {
  const auto attrs = Attributes().set("axis", std::int64_t{2}).set("epsilon", 0.5).set("to", std::string("f32"));
  EXPECT_EQ(attrs.integer("axis"), 2);
  EXPECT_EQ(attrs.integer("absent", 7), 7);
  EXPECT_EQ(attrs.real("epsilon"), 0.5);
  EXPECT_EQ(attrs.text("to"), "f32");
  EXPECT_EQ(attrs.text("absent"), "");
  EXPECT_TRUE(attrs.integers("absent").empty());
  EXPECT_THROW(attrs.real("axis"), InternalError);
}

TEST(Graph, InfersOutputsAndNamesThem) {
  SmallGraph small;
  const ValueId x = small.input("x", {2, 4});
  const ValueId scale = small.parameter("scale", {4});
  Node node;
  node.op = op("LayerNorm");
  node.name = "norm";
  node.inputs = {x, scale};
  const std::vector<std::string> names{"y"};
  const NodeId id = small.graph.add_node(node, names);
  const auto& outputs = small.graph.node(id).outputs;
  ASSERT_EQ(outputs.size(), 3U);
  EXPECT_EQ(small.graph.value(outputs[0]).name, "y");
  EXPECT_EQ(small.graph.value(outputs[1]).name, "norm.1");
  EXPECT_EQ(small.graph.shape(outputs[2]), Shape{2});
  EXPECT_EQ(small.graph.value(outputs[2]).producer, id);
}

TEST(Graph, NamesTheNodeWhoseShapesDisagree) {
  SmallGraph small;
  const ValueId a = small.input("a", {2, 3});
  try {
    small.graph.add("MatMul", {a, small.input("b", {4, 5})}, {}, "layer/product");
    FAIL() << "no error";
  } catch (const ModelError& error) {
    EXPECT_STREQ(error.what(),
                 "node 'layer/product' (MatMul) with inputs f32 2x3, f32 4x5: [MatMul] K differs: a is 2x3, b is 4x5");
  }
  EXPECT_THROW(small.graph.add("MatMul", {a}, {}, "short"), ModelError);
  EXPECT_THROW(small.graph.add("MatMul", {a, kNone}, {}, "absent"), ModelError);
}

TEST(Graph, FindsValuesAlsoAfterARename) {
  SmallGraph small;
  const ValueId x = small.input("x", {1});
  small.graph.value(x).name = "tokens";
  EXPECT_EQ(small.graph.find_value("tokens"), x);
  EXPECT_EQ(small.graph.find_value("x"), kNone);
}

TEST(Graph, ListsEachConsumerOnce) {
  SmallGraph small;
  const ValueId x = small.input("x", {2});
  const ValueId square = small.add("Mul", {x, x});
  small.add("Add", {square, x});
  const auto consumers = small.graph.consumers();
  const auto readers = [&](ValueId value) {
    return std::vector<NodeId>(consumers[value].begin(), consumers[value].end());
  };
  EXPECT_EQ(readers(x), (std::vector<NodeId>{0, 1}));
  EXPECT_EQ(readers(square), (std::vector<NodeId>{1}));
  EXPECT_TRUE(consumers[small.graph.num_values()].empty());
}

TEST(Graph, RemovesDeadNodesAndKeepsReferences) {
  SmallGraph small;
  const ValueId x = small.input("x", {2});
  small.add("Neg", {x});
  const ValueId y = small.add("Exp", {x});
  Node like;
  like.forward = 1;
  const ValueId z = small.graph.add("Mul", {y, y}, {}, "z", &like);
  small.graph.remove_dead(std::vector{z});
  ASSERT_EQ(small.graph.num_nodes(), 2);
  EXPECT_EQ(small.graph.node(1).forward, 0);
  EXPECT_EQ(small.graph.value(z).producer, 1);
  EXPECT_EQ(small.graph.value(y).producer, 0);
}

TEST(Graph, StaysFastWithManyNodes) {
  SmallGraph small;
  ValueId x = small.input("x", {2});
  for (int i = 0; i < 100'000; ++i) x = small.add("Neg", {x});
  EXPECT_EQ(small.graph.find_value("Neg99999"), x);
  small.graph.remove_dead(std::vector{x});
  EXPECT_EQ(small.graph.num_nodes(), 100'000);
}

}  // namespace
}  // namespace dml
