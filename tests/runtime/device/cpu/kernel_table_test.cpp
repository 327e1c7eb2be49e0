// That every operation of the compiler has a CPU kernel, and that binders read attributes and operands as
// models/ops/README.md says. The kernels' own numbers are tested in tests/kernels.
#include "runtime/device/cpu/kernel_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "kernels/error.h"
#include "models/op.h"
#include "runtime/device/bind_args.h"

namespace dml {
namespace {

struct Tensor {
  DataType dtype;
  Shape shape;
  std::vector<std::byte> bytes;
};

template <typename T>
Tensor tensor(DataType type, Shape shape, const std::vector<T>& values) {
  Tensor t{type, shape, std::vector<std::byte>(values.size() * sizeof(T))};
  std::memcpy(t.bytes.data(), values.data(), t.bytes.size());
  return t;
}

Tensor floats(Shape shape, const std::vector<float>& values) { return tensor(DataType::f32, shape, values); }
Tensor indices(Shape shape, const std::vector<std::int64_t>& values) { return tensor(DataType::i64, shape, values); }
Tensor flags(Shape shape, const std::vector<std::uint8_t>& values) { return tensor(DataType::boolean, shape, values); }

const StepState kState{.step = 3, .seed = 42, .learning_rate = 0.1, .loss_scale = 0.5F};
const StepState kInUse{.step = 3, .seed = 42, .learning_rate = 0.1, .loss_scale = 0.5F, .trains = false};

/// One operation on its own: its outputs are shaped by its own rule, bound and executed.
std::vector<Tensor> execute(std::string_view name, std::vector<Tensor> inputs, Attributes attrs = {},
                            const StepState& state = kState) {
  Graph graph;
  Node node{op(name), std::string(name) + ".node", "", std::move(attrs), {}, {}, Phase::forward, kNone};
  std::vector<TensorView> in, out;
  for (Tensor& input : inputs) {
    node.inputs.push_back(graph.add_value({"in", input.dtype, input.shape, Role::input, kNone, nullptr}));
    in.push_back({input.bytes.data(), input.dtype, input.shape});
  }
  const auto typed = node.op->infer(graph, node);
  std::vector<Tensor> outputs;
  for (const TypedShape& t : typed) {
    const auto bytes = static_cast<std::size_t>(t.shape.num_elements()) * size_of(t.dtype);
    outputs.push_back({t.dtype, t.shape, std::vector<std::byte>(bytes)});
    node.outputs.push_back(graph.add_value({"out", t.dtype, t.shape, Role::activation, kNone, nullptr}));
  }
  for (Tensor& output : outputs) out.push_back({output.bytes.data(), output.dtype, output.shape});
  const KernelContext context{&state, 0};
  bind_kernel(graph, node, in, out, context)();
  return outputs;
}

std::vector<float> values(const Tensor& t) {
  std::vector<float> result(static_cast<std::size_t>(t.shape.num_elements()));
  std::memcpy(result.data(), t.bytes.data(), t.bytes.size());
  return result;
}

std::vector<int> bytes(const Tensor& t) {
  std::vector<int> result;
  for (const std::byte b : t.bytes) result.push_back(std::to_integer<int>(b));
  return result;
}

using Floats = std::vector<float>;
using Ints = std::vector<std::int64_t>;

TEST(KernelTable, EveryOperationHasAKernelOrIsACollective) {
  const auto names = operations_with_kernels();
  for (const OpDef& def : all_ops()) {
    const bool found = std::find(names.begin(), names.end(), def.name) != names.end();
    const bool collective = def.name == "AllReduce" || def.name == "AllGather" || def.name == "ReduceScatter";
    EXPECT_NE(found, collective) << def.name;
  }
  for (const std::string_view name : names) EXPECT_NE(find_op(name), nullptr) << name;
}

TEST(KernelTable, CollectivesAndTypesWithoutAKernelAreNamed) {
  EXPECT_THROW(execute("AllReduce", {floats({1}, {1})}), ModelError);
  try {
    execute("Add", {tensor<std::int32_t>(DataType::i32, {1}, {1}), tensor<std::int32_t>(DataType::i32, {1}, {1})});
    FAIL();
  } catch (const ModelError& error) {
    EXPECT_STREQ(error.what(), "Add.node: the CPU has no kernel of Add for i32");
  }
}

TEST(KernelTable, ElementwiseOperations) {
  EXPECT_EQ(values(execute("Sub", {floats({2, 2}, {1, 2, 3, 4}), floats({2}, {1, 2})})[0]), (Floats{0, 0, 2, 2}));
  EXPECT_EQ(bytes(execute("LessOrEqual", {floats({3}, {1, 2, 3}), floats({}, {2})})[0]), (std::vector<int>{1, 1, 0}));
  EXPECT_EQ(bytes(execute("Or", {flags({2}, {0, 1}), flags({2}, {0, 0})})[0]), (std::vector<int>{0, 1}));
  EXPECT_EQ(bytes(execute("Not", {flags({2}, {0, 1})})[0]), (std::vector<int>{1, 0}));
  EXPECT_EQ(values(execute("Where", {flags({2}, {0, 1}), floats({2}, {1, 2}), floats({}, {9})})[0]), (Floats{9, 2}));
  EXPECT_EQ(values(execute("Abs", {floats({2}, {-1, 2})})[0]), (Floats{1, 2}));
  EXPECT_EQ(values(execute("Clip", {floats({3}, {-5, 0, 5})}, Attributes().set("max", 1.0))[0]), (Floats{-5, 0, 1}));
  EXPECT_EQ(values(execute("ReluGrad", {floats({2}, {3, 4}), floats({2}, {0, 1})})[0]), (Floats{0, 4}));
  const auto exact = execute("Gelu", {floats({1}, {1})}, Attributes().set("approximate", std::string("none")));
  const auto approximate = execute("Gelu", {floats({1}, {1})}, Attributes().set("approximate", std::string("tanh")));
  EXPECT_NEAR(values(exact[0])[0], 0.8413447f, 1e-6f);
  EXPECT_NEAR(values(approximate[0])[0], 0.8411920f, 1e-6f);
  const auto cast = execute("Cast", {indices({2}, {-1, 7})}, Attributes().set("to", std::string("f32")));
  EXPECT_EQ(values(cast[0]), (Floats{-1, 7}));
}

TEST(KernelTable, NormalizationsAndSums) {
  const auto y =
      values(execute("Softmax", {floats({2, 2}, {0, 5, 0, 5})}, Attributes().set("axis", std::int64_t{0}))[0]);
  EXPECT_EQ(y, (Floats{0.5f, 0.5f, 0.5f, 0.5f}));
  const auto norm = execute("LayerNorm", {floats({1, 2}, {1, 3}), floats({2}, {1, 1}), floats({2}, {10, 20})},
                            Attributes().set("axis", std::int64_t{-1}).set("epsilon", 0.0));
  EXPECT_EQ(values(norm[0]), (Floats{9, 21}));
  EXPECT_EQ(values(norm[1]), (Floats{2}));
  const Tensor x = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(values(execute("ReduceMean", {x}, Attributes().set("axes", Ints{-1}))[0]), (Floats{2, 5}));
  EXPECT_EQ(values(execute("ReduceSum", {x})[0]), (Floats{21}));
  EXPECT_EQ(values(execute("SumTo", {x}, Attributes().set("shape", Ints{3}))[0]), (Floats{5, 7, 9}));
}

TEST(KernelTable, MovesOfElements) {
  const Tensor x = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto slice =
      Attributes().set("axis", std::int64_t{1}).set("start", std::int64_t{2}).set("end", std::int64_t{-1});
  EXPECT_EQ(values(execute("Transpose", {x}, Attributes().set("perm", Ints{1, 0}))[0]), (Floats{1, 4, 2, 5, 3, 6}));
  EXPECT_EQ(values(execute("Reshape", {x}, Attributes().set("shape", Ints{6}))[0]), (Floats{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(values(execute("Expand", {floats({2, 1}, {1, 2})}, Attributes().set("shape", Ints{2, 2}))[0]),
            (Floats{1, 1, 2, 2}));
  EXPECT_EQ(values(execute("Slice", {x}, Attributes(slice).set("step", std::int64_t{-1}))[0]),
            (Floats{3, 2, 1, 6, 5, 4}));
  EXPECT_EQ(values(execute("Concat", {x, x}, Attributes().set("axis", std::int64_t{0}))[0]),
            (Floats{1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6}));
  const auto parts = execute("Split", {x}, Attributes().set("axis", std::int64_t{1}).set("sizes", Ints{1, 2}));
  EXPECT_EQ(values(parts[1]), (Floats{2, 3, 5, 6}));
  EXPECT_EQ(values(execute("Gather", {x, indices({2}, {-1, 0})})[0]), (Floats{4, 5, 6, 1, 2, 3}));
  const auto slice_of_14 = Attributes().set("offset", std::int64_t{9}).set("whole", std::int64_t{14});
  EXPECT_EQ(values(execute("Gather", {x, indices({2}, {10, 12})}, slice_of_14)[0]), (Floats{4, 5, 6, 0, 0, 0}));
  EXPECT_EQ(values(execute("Gather", {x, indices({2}, {-5, -14})}, slice_of_14)[0]), (Floats{1, 2, 3, 0, 0, 0}));
  EXPECT_THROW(execute("Gather", {x, indices({1}, {14})}, slice_of_14), std::invalid_argument);
  const auto units = Attributes().set("dim", std::int64_t{1}).set("units", std::int64_t{3});
  EXPECT_EQ(values(execute("ShardSlice", {x},
                           Attributes(units).set("begin", std::int64_t{1}).set("end", std::int64_t{3}))[0]),
            (Floats{2, 3, 5, 6}));
  EXPECT_EQ(values(execute("ShardMerge", {floats({6}, {1, 4, 2, 3, 5, 6})},
                           Attributes(units).set("parts", std::int64_t{2}).set("shape", Ints{2, 3}))[0]),
            (Floats{1, 2, 3, 4, 5, 6}));
}

TEST(KernelTable, LossesReadTheStep) {
  const auto loss = execute("CrossEntropy", {floats({2, 2}, {0, 0, 1, 2}), indices({2}, {1, -100})});
  EXPECT_NEAR(values(loss[0])[0], 0.5f * 0.6931472f, 1e-6f);
  EXPECT_THROW(execute("CrossEntropy", {floats({1, 2}, {0, 0}), indices({1}, {2})}), std::invalid_argument);
  const auto grad = execute("CrossEntropyGrad", {floats({1, 2}, {0, 0}), indices({1}, {1}), floats({1}, {0.6931472f})});
  EXPECT_NEAR(values(grad[0])[1], -0.25f, 1e-6f);
  EXPECT_EQ(values(execute("MeanSquaredError", {floats({2}, {1, 2}), floats({2}, {0, 0})})[0]), (Floats{2.5f}));
  EXPECT_EQ(values(execute("WeightedLoss", {floats({1}, {3})})[0]), (Floats{1.5f}));
  EXPECT_EQ(values(execute("WeightedLossGrad", {})[0]), (Floats{0.5f}));
}

TEST(KernelTable, AModelInUseDropsNothingAndKeepsItsStatistics) {
  const auto ratio = Attributes().set("ratio", 0.5).set("site", std::int64_t{1});
  EXPECT_EQ(values(execute("Dropout", {floats({2, 2}, {1, 2, 3, 4})}, ratio, kInUse)[0]), (Floats{1, 2, 3, 4}));
  const Tensor one = floats({1}, {1});
  const std::vector<Tensor> norm =
      execute("BatchNorm", {floats({2, 1}, {1, 3}), one, floats({1}, {0.5}), one, floats({1}, {4})},
              Attributes().set("epsilon", 0.0).set("momentum", 0.9), kInUse);
  EXPECT_EQ(values(norm[0]), (Floats{0.5, 1.5}));
  EXPECT_EQ(values(norm[3]), (Floats{1}));
  EXPECT_EQ(values(norm[4]), (Floats{4}));
}

TEST(KernelTable, ShardsOfADropoutAgreeWithTheWhole) {
  const auto attrs = Attributes().set("ratio", 0.5).set("site", std::int64_t{1});
  const Floats ones(24, 1.0f);
  const auto whole = values(execute("Dropout", {floats({2, 12}, ones)}, attrs)[0]);
  const auto part = values(
      execute("Dropout", {floats({2, 4}, Floats(8, 1.0f))}, Attributes(attrs).set("shard", Ints{1, 2, 3, 2, 1, 2}))[0]);
  EXPECT_EQ(part, (Floats{whole[2], whole[3], whole[8], whole[9], whole[14], whole[15], whole[20], whole[21]}));
}

TEST(KernelTable, PackedAttentionEqualsAttention) {
  const std::int64_t tokens = 3, width = 4;
  Floats qkv, q, k, v;
  for (std::int64_t i = 0; i < tokens * 3 * width; ++i) {
    const float x = static_cast<float>(i * 7 % 11) * 0.1f;
    qkv.push_back(x);
    (i / width % 3 == 0 ? q : i / width % 3 == 1 ? k : v).push_back(x);
  }
  const Shape apart{1, tokens, width};
  const auto attrs = Attributes().set("heads", std::int64_t{2}).set("causal", std::int64_t{1}).set("scale", 0.7);
  const auto packed = execute("PackedAttention", {floats({1, tokens, 3 * width}, qkv)}, attrs);
  const auto separate = execute("Attention", {floats(apart, q), floats(apart, k), floats(apart, v)}, attrs);
  EXPECT_EQ(values(packed[0]), values(separate[0]));
  EXPECT_EQ(values(packed[1]), values(separate[1]));
  EXPECT_EQ(values(packed[0])[0], v[0]);  // the first query sees the first key alone
}

}  // namespace
}  // namespace dml
