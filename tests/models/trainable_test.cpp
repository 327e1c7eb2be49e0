#include "models/trainable.h"

#include <gtest/gtest.h>

#include <limits>

#include "kernels/error.h"
#include "tests/models/small_graph.h"

namespace dml {
namespace {

using Globs = std::vector<std::string>;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// softmax(scale · x w + mask) with a table that is only compared, and a tensor that nothing reads.
struct Masked : SmallGraph {
  ValueId x = input("x", {2, 2});
  ValueId w = parameter("w", {2, 2}, {1, 2, 3, 4});
  ValueId scale = parameter("scale", {}, {0.25F});
  ValueId mask = parameter("mask", {2, 2}, {0, -kInfinity, 0, 0});
  ValueId table = parameter("table", {2, 2}, {0, 1, 0, 1});
  ValueId unread = parameter("unread", {3}, {0, 1, 0});

  Masked() {
    const ValueId scores = add("Mul", {add("MatMul", {x, w}), scale});
    const ValueId probabilities =
        add("Softmax", {add("Add", {scores, mask})}, Attributes().set("axis", std::int64_t{-1}));
    graph.output = add("Where", {add("Equal", {table, constant(0)}), probabilities, scores});
  }
  Role role(ValueId id) const { return graph.value(id).role; }
};

TEST(Trainable, IsDecidedByTheGraph) {
  Masked model;
  const auto notes = choose_trainable(model.graph, {}, {});
  EXPECT_EQ(model.role(model.w), Role::parameter);
  EXPECT_EQ(model.role(model.scale), Role::constant);
  EXPECT_EQ(model.role(model.mask), Role::constant);
  EXPECT_EQ(model.role(model.table), Role::constant);
  EXPECT_EQ(model.role(model.unread), Role::constant);
  EXPECT_EQ(notes,
            (std::vector<std::string>{
                "scale [scalar] does not train: one element, not a weight or bias", "mask [2x2] does not train: a mask",
                "table [2x2] does not train: no gradient reaches it", "unread [3] does not train: nothing reads it"}));
}

TEST(Trainable, FollowsTrainAndFreeze) {
  Masked model;
  choose_trainable(model.graph, Globs{"sc*", "mask"}, Globs{"m?sk"});
  EXPECT_EQ(model.role(model.scale), Role::parameter);
  EXPECT_EQ(model.role(model.mask), Role::constant);
  EXPECT_EQ(model.role(model.w), Role::parameter);
}

TEST(Trainable, RefusesGlobsWithoutMatchAndModelsWithoutWeights) {
  Masked model;
  EXPECT_THROW(choose_trainable(model.graph, Globs{"nothing*"}, {}), ModelError);
  EXPECT_THROW(choose_trainable(model.graph, {}, Globs{"w"}), ModelError);
  EXPECT_THROW(check_globs(model.graph, Globs{"w", "nothing*"}, "--no-decay"), ModelError);
  EXPECT_NO_THROW(check_globs(model.graph, Globs{"w", "*"}, "--no-decay"));
}

TEST(Trainable, OneElementTrainsAsBiasOfAGemm) {
  SmallGraph small;
  const ValueId x = small.input("x", {2, 3});
  const ValueId w = small.parameter("w", {3, 4});
  const ValueId c = small.parameter("c", {1});
  const ValueId d = small.parameter("d", {1});
  const ValueId product = small.graph.add("MatMul", {x, w}, {}, "gemm/product");
  const ValueId gemm = small.graph.add("Add", {product, small.add("Mul", {c, small.constant(0.5F)})}, {}, "gemm");
  const ValueId other = small.graph.add("MatMul", {gemm, small.parameter("v", {4, 4})}, {}, "other_product");
  small.graph.output = small.graph.add("Add", {other, d}, {}, "sum");
  choose_trainable(small.graph, {}, {});
  EXPECT_EQ(small.graph.value(c).role, Role::parameter);
  EXPECT_EQ(small.graph.value(d).role, Role::constant);
}

TEST(Trainable, OneElementTrainsAsBiasOfAColumn) {
  SmallGraph small;
  const ValueId product = small.add("MatMul", {small.input("x", {2, 3, 4}), small.parameter("w", {4, 1})});
  const ValueId bias = small.parameter("bias", {1});
  small.graph.output = small.add("Add", {product, bias});
  choose_trainable(small.graph, {}, {});
  EXPECT_EQ(small.graph.value(bias).role, Role::parameter);
}

TEST(Glob, Matches) {
  EXPECT_TRUE(matches_glob("*", ""));
  EXPECT_TRUE(matches_glob("blocks.*.bias", "blocks.0.attn.bias"));
  EXPECT_TRUE(matches_glob("a*b*c", "aXbYbZc"));
  EXPECT_TRUE(matches_glob("?", "x"));
  EXPECT_FALSE(matches_glob("?", ""));
  EXPECT_FALSE(matches_glob("blocks.*.bias", "blocks.0.attn.weight"));
  EXPECT_FALSE(matches_glob("a", "ab"));
}

}  // namespace
}  // namespace dml
