#include "parallel/cost/kernel_size.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "models/op.h"

namespace dml {
namespace {

KernelSize size_of_node(std::string_view operation, const std::vector<Shape>& inputs, const Attributes& attrs = {}) {
  Graph graph;
  std::vector<ValueId> ids;
  for (const Shape& shape : inputs) {
    Value value;
    value.name = "x" + std::to_string(ids.size());
    value.shape = shape;
    value.dtype = operation == "Gather" && ids.size() == 1 ? DataType::i64 : DataType::f32;
    value.role = Role::input;
    ids.push_back(graph.add_value(value));
  }
  graph.add(operation, ids, attrs, "y");
  return kernel_size(graph, graph.nodes().back());
}

std::vector<double> sizes(const KernelSize& size) { return {size.sizes().begin(), size.sizes().end()}; }

using Sizes = std::vector<double>;

TEST(KernelSize, ProductsCountRowsOfAllMatricesTogether) {
  const KernelSize size = size_of_node("MatMul", {{4, 64, 128}, {128, 512}});
  EXPECT_EQ(size.family, "MatMul");
  EXPECT_EQ(sizes(size), (Sizes{256, 512, 128}));
}

TEST(KernelSize, ProductsAreApartByWhatIsTransposed) {
  const KernelSize weight =
      size_of_node("MatMul", {{256, 128}, {256, 512}}, Attributes().set("trans_a", std::int64_t{1}));
  EXPECT_EQ(weight.family, "MatMul.ta");
  EXPECT_EQ(sizes(weight), (Sizes{128, 512, 256}));
  const KernelSize input =
      size_of_node("MatMul", {{4, 64, 512}, {128, 512}}, Attributes().set("trans_b", std::int64_t{1}));
  EXPECT_EQ(input.family, "MatMul.tb");
  EXPECT_EQ(sizes(input), (Sizes{256, 128, 512}));
}

TEST(KernelSize, PairsOfMatricesAreAFamilyOfTheirOwn) {
  const KernelSize size = size_of_node("MatMul", {{2, 4, 64, 32}, {2, 4, 32, 16}});
  EXPECT_EQ(size.family, "MatMul.batched");
  EXPECT_EQ(sizes(size), (Sizes{8, 64, 16, 32}));
}

TEST(KernelSize, ConvolutionsAreProductsOfPixelsAndChannels) {
  const Attributes attrs = Attributes()
                               .set("strides", std::vector<std::int64_t>{1, 1})
                               .set("pads", std::vector<std::int64_t>{1, 1, 1, 1})
                               .set("dilations", std::vector<std::int64_t>{1, 1})
                               .set("group", std::int64_t{1});
  const KernelSize size = size_of_node("Conv", {{2, 3, 8, 8}, {16, 3, 3, 3}}, attrs);
  EXPECT_EQ(size.family, "Conv");
  EXPECT_EQ(sizes(size), (Sizes{128, 16, 27}));
}

TEST(KernelSize, AttentionCountsHeadsOfAllSamples) {
  const Attributes attrs = Attributes().set("heads", std::int64_t{4}).set("causal", std::int64_t{1}).set("scale", 1.0);
  const KernelSize size = size_of_node("Attention", {{3, 64, 128}, {3, 64, 128}, {3, 64, 128}}, attrs);
  EXPECT_EQ(size.family, "Attention.causal");
  EXPECT_EQ(sizes(size), (Sizes{12, 64, 32}));
}

TEST(KernelSize, NormalizationsAreMeasuredByRows) {
  const KernelSize size = size_of_node("Softmax", {{4, 16, 10}}, Attributes().set("axis", std::int64_t{2}));
  EXPECT_EQ(size.family, "Softmax");
  EXPECT_EQ(sizes(size), (Sizes{64, 10}));
  EXPECT_EQ(sizes(size_of_node("LayerNorm", {{4, 16, 8}, {8}, {8}}, Attributes().set("axis", std::int64_t{-1}))),
            (Sizes{64, 8}));
}

TEST(KernelSize, OthersAreMeasuredByBytes) {
  EXPECT_EQ(size_of_node("Mul", {{8, 4}, {8, 4}}).family, "Add");
  EXPECT_EQ(sizes(size_of_node("Mul", {{8, 4}, {8, 4}})), Sizes{3 * 32 * 4});
  EXPECT_EQ(size_of_node("Add", {{8, 4}, {4}}).family, "Add.broadcast");
}

TEST(KernelSize, GatheringReadsWhatItWrites) {
  const KernelSize size = size_of_node("Gather", {{50000, 16}, {8}}, Attributes().set("axis", std::int64_t{0}));
  EXPECT_EQ(sizes(size), Sizes{2 * 8 * 16 * 4});
}

}  // namespace
}  // namespace dml
