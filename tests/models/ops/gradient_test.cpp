// Every gradient rule against central differences in double: the output of a small graph goes into a squared error, and
// each element of each parameter is moved by 1e-5.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>
#include <set>

#include "models/autodiff.h"
#include "models/loss.h"
#include "tests/models/small_graph.h"
#include "tests/reference/graph_evaluator.h"

namespace dml {
namespace {

using reference::Tensor64;
using reference::Values;
using List = std::vector<std::int64_t>;

constexpr double kStep = 1e-5;
// Differences have an error of about step^2 times the third derivative; constants of the rules are float.
constexpr double kRelative = 1e-6;

struct GradientCase {
  std::string name;
  std::function<ValueId(SmallGraph&)> build;  ///< returns the output
  bool is_positive = false;                   ///< parameters are drawn from [0.5, 2] instead of [-2, 2]
};

void PrintTo(const GradientCase& row, std::ostream* out) { *out << row.name; }

Tensor64 random_tensor(const Value& value, std::mt19937& generator, bool is_positive) {
  Tensor64 tensor = Tensor64::zeros(value.shape);
  std::uniform_real_distribution<double> real(is_positive ? 0.5 : -2.0, 2.0);
  std::uniform_int_distribution<int> integer(0, 2);
  for (double& element : tensor.elements) element = is_float(value.dtype) ? real(generator) : integer(generator);
  return tensor;
}

Values random_values(const Graph& graph, bool is_positive) {
  std::mt19937 generator(7);
  Values values;
  for (ValueId id = 0; id < graph.num_values(); ++id) {
    const Value& value = graph.value(id);
    if (value.producer != kNone || value.source != nullptr) continue;
    values[id] = random_tensor(value, generator, is_positive || value.role == Role::state);
  }
  return values;
}

reference::Step step() {
  reference::Step result;
  result.state.loss_scale = 0.75F;
  result.state.seed = 3;
  return result;
}

void check_gradients(const Graph& forward, const Graph& training, const Values& given) {
  const Values computed = reference::evaluate_graph(training, given, step());
  for (ValueId id = 0; id < forward.num_values(); ++id) {
    if (forward.value(id).role != Role::parameter) continue;
    ASSERT_TRUE(training.gradient_of.contains(id)) << forward.value(id).name;
    const Tensor64& gradient = computed.at(training.gradient_of.at(id));
    double largest = 0;
    for (const double element : gradient.elements) largest = std::max(largest, std::abs(element));
    for (std::size_t at = 0; at < gradient.elements.size(); ++at) {
      const auto loss_at = [&](double moved) {
        Values values = given;
        values.at(id).elements[at] += moved;
        return reference::evaluate_graph(forward, values, step()).at(forward.loss).elements[0];
      };
      const double difference = (loss_at(kStep) - loss_at(-kStep)) / (2 * kStep);
      EXPECT_NEAR(gradient.elements[at], difference, kRelative * (largest + std::abs(difference)) + 1e-9)
          << forward.value(id).name << " [" << at << "]";
    }
  }
}

class Gradient : public testing::TestWithParam<GradientCase> {};

TEST_P(Gradient, AgreesWithDifferences) {
  SmallGraph small;
  const ValueId output = GetParam().build(small);
  if (small.graph.loss == kNone) {
    small.graph.output = output;
    append_loss(small.graph, "mse", DataType::f32, small.graph.shape(output));
  }
  const Graph forward = small.graph;
  append_backward(small.graph);
  check_gradients(forward, small.graph, random_values(forward, GetParam().is_positive));
}

GradientCase unary(const std::string& op, Attributes attrs = {}, bool is_positive = false) {
  return {op, [=](SmallGraph& g) { return g.add(op, {g.parameter("x", {3, 4})}, attrs); }, is_positive};
}

GradientCase binary(const std::string& op, const Shape& a, const Shape& b) {
  return {op + "_" + a.to_string() + "_" + b.to_string(),
          [=](SmallGraph& g) {
            return g.add(op, {g.parameter("a", a), g.parameter("b", b)});
          },
          true};
}

GradientCase product(const std::string& name, const Shape& a, const Shape& b, Attributes attrs = {},
                     const Shape& bias = {}) {
  return {"MatMul_" + name, [=](SmallGraph& g) {
            std::vector<ValueId> inputs{g.parameter("a", a), g.parameter("b", b)};
            if (bias.rank() > 0) inputs.push_back(g.parameter("bias", bias));
            return g.add("MatMul", inputs, attrs);
          }};
}

GradientCase conv(const std::string& name, const Shape& x, const Shape& w, Attributes attrs) {
  return {"Conv_" + name, [=](SmallGraph& g) {
            return g.add("Conv", {g.parameter("x", x), g.parameter("w", w), g.parameter("bias", {w[0]})}, attrs);
          }};
}

GradientCase pool(const std::string& op, Attributes attrs) {
  return {op, [=](SmallGraph& g) { return g.add(op, {g.parameter("x", {2, 2, 5, 4})}, attrs); }};
}

GradientCase moved(const std::string& name, const std::string& op, Attributes attrs) {
  return {name, [=](SmallGraph& g) { return g.add(op, {g.parameter("x", {2, 3, 4})}, attrs); }};
}

GradientCase attention(const std::string& name, std::int64_t causal, bool has_mask) {
  return {"Attention_" + name, [=](SmallGraph& g) {
            const std::int64_t keys = causal != 0 ? 3 : 4;
            std::vector<ValueId> inputs{g.parameter("q", {2, 3, 4}), g.parameter("k", {2, keys, 4}),
                                        g.parameter("v", {2, keys, 4})};
            if (has_mask) inputs.push_back(g.input("mask", {1, 2, 3, keys}));
            return g.add("Attention", inputs, with({{"heads", i(2)}, {"scale", 0.7}, {"causal", causal}}));
          }};
}

GradientCase packed_attention(const std::string& name, std::int64_t causal, bool has_mask) {
  return {"PackedAttention_" + name, [=](SmallGraph& g) {
            std::vector<ValueId> inputs{g.parameter("qkv", {2, 3, 12})};
            if (has_mask) inputs.push_back(g.input("mask", {2, 1, 3, 3}));
            return g.add("PackedAttention", inputs, with({{"heads", i(2)}, {"scale", 0.7}, {"causal", causal}}));
          }};
}

const Attributes kConv = with({{"strides", List{2, 1}}, {"pads", List{1, 0, 1, 2}}, {"group", i(2)}});
const Attributes kPool = with({{"kernel", List{3, 2}}, {"strides", List{2, 1}}, {"pads", List{1, 0, 1, 0}}});

ValueId cross_entropy(SmallGraph& g) {
  g.graph.output = g.parameter("logits", {2, 3, 4});
  append_loss(g.graph, "cross_entropy", DataType::i64, {2, 3});
  return g.graph.output;
}

ValueId weighted_loss(SmallGraph& g) {
  const ValueId x = g.parameter("x", {1, 1});
  g.graph.output = g.add("Mul", {x, x});
  append_loss(g.graph, "auto", DataType::i64, {});
  return g.graph.output;
}

ValueId where(SmallGraph& g) {
  const ValueId condition = g.booleans({3, 1}, {1, 0, 1});
  return g.add("Where", {condition, g.parameter("a", {3, 4}), g.parameter("b", {4})});
}

ValueId power_of_constant(SmallGraph& g) {
  const ValueId square = g.add("Pow", {g.parameter("x", {3}), g.constant(2)});
  return g.add("Add", {square, g.add("Pow", {g.parameter("y", {3}), g.constant(3)})});
}

ValueId layer_norm(SmallGraph& g) {
  const ValueId x = g.parameter("x", {2, 3, 4});
  return g.add("LayerNorm", {x, g.parameter("scale", {3, 4}), g.parameter("bias", {3, 4})},
               with({{"axis", i(1)}, {"epsilon", 1e-3}}));
}

ValueId batch_norm(SmallGraph& g) {
  const ValueId x = g.parameter("x", {3, 2, 4});
  const ValueId mean = g.add_value("mean", {2}, Role::state);
  const ValueId variance = g.add_value("variance", {2}, Role::state);
  return g.add("BatchNorm", {x, g.parameter("scale", {2}), g.parameter("bias", {2}), mean, variance},
               with({{"epsilon", 1e-3}, {"momentum", 0.9}}));
}

ValueId concat(SmallGraph& g) {
  return g.add("Concat", {g.parameter("a", {2, 1, 3}), g.parameter("b", {2, 2, 3}), g.input("c", {2, 1, 3})},
               with({{"axis", i(1)}}));
}

// The second of three outputs is not used.
ValueId split(SmallGraph& g) {
  const ValueId first = g.add("Split", {g.parameter("x", {2, 5})}, with({{"axis", i(1)}, {"sizes", List{2, 1, 2}}}));
  return g.add("Mul", {first, producer_of(g.graph, first).outputs[2]});
}

ValueId gather(SmallGraph& g) {
  return g.add("Gather", {g.parameter("table", {2, 3, 2}), g.input("indices", {2, 2}, DataType::i64)},
               with({{"axis", i(1)}}));
}

// One weight as it is, transposed, and scaled: its gradients are summed.
ValueId shared_weight(SmallGraph& g) {
  const ValueId w = g.parameter("w", {3, 3});
  const ValueId h = g.add("MatMul", {g.input("x", {2, 3}), w});
  const ValueId y = g.add("MatMul", {g.add("Tanh", {h}), g.transpose(w, {1, 0})});
  return g.add("Add", {y, g.add("MatMul", {h, g.add("Mul", {w, g.constant(0.5F)})})});
}

std::vector<GradientCase> cases() {
  return {
      product("matrices", {2, 3}, {3, 4}),
      product("rows", {2, 3, 4}, {4, 5}, with({{"alpha", 0.5}}), {5}),
      product("rows_b_transposed", {2, 3, 4}, {5, 4}, with({{"trans_b", i(1)}})),
      product("a_transposed", {4, 2}, {4, 3}, with({{"trans_a", i(1)}, {"alpha", 2.0}})),
      product("both_transposed", {2, 4, 2}, {3, 4}, with({{"trans_a", i(1)}, {"trans_b", i(1)}})),
      product("batched", {2, 3, 4}, {2, 4, 2}),
      product("broadcast", {2, 1, 2, 3}, {4, 3, 2}),
      product("matrix_by_batch", {2, 3}, {2, 3, 4}),
      binary("Add", {2, 3}, {3}),
      binary("Sub", {3}, {2, 1}),
      binary("Mul", {2, 1, 3}, {4, 1}),
      binary("Div", {2, 3}, {2, 1}),
      binary("Pow", {2, 3}, {3}),
      {"Pow_constant", power_of_constant},
      {"Where", where},
      unary("Relu"),
      unary("Sigmoid"),
      unary("Tanh"),
      unary("Erf"),
      unary("Exp"),
      unary("Log", {}, true),
      unary("Sqrt", {}, true),
      unary("Neg"),
      unary("Reciprocal", {}, true),
      unary("Abs"),
      {"Gelu_none", unary("Gelu", with({{"approximate", std::string("none")}})).build},
      {"Gelu_tanh", unary("Gelu", with({{"approximate", std::string("tanh")}})).build},
      unary("Clip", with({{"min", -0.5}, {"max", 1.0}})),
      unary("Cast", with({{"to", std::string("f64")}})),
      unary("Softmax", with({{"axis", i(0)}})),
      unary("LogSoftmax", with({{"axis", i(-1)}})),
      unary("Dropout", with({{"ratio", 0.4}, {"site", i(2)}})),
      {"LayerNorm", layer_norm},
      {"BatchNorm", batch_norm},
      conv("planes", {2, 4, 4, 3}, {4, 2, 3, 2}, kConv),
      conv("line", {2, 2, 6}, {3, 2, 2}, with({{"dilations", List{2}}})),
      pool("MaxPool", kPool),
      pool("AveragePool", kPool),
      {"AveragePool_ceil",
       pool("AveragePool", with({{"kernel", List{2, 2}}, {"strides", List{2, 2}}, {"ceil_mode", i(1)}})).build},
      moved("ReduceSum", "ReduceSum", with({{"axes", List{0, 2}}, {"keepdims", i(0)}})),
      moved("ReduceMean", "ReduceMean", with({{"axes", List{1}}, {"keepdims", i(1)}})),
      moved("Reshape", "Reshape", with({{"shape", List{4, 6}}})),
      moved("Transpose", "Transpose", with({{"perm", List{1, 2, 0}}})),
      moved("Expand", "Expand", with({{"shape", List{2, 2, 3, 4}}})),
      moved("SumTo", "SumTo", with({{"shape", List{3, 1}}})),
      moved("Slice", "Slice", with({{"axis", i(2)}, {"start", i(1)}, {"end", i(4)}, {"step", i(2)}})),
      moved("Slice_back", "Slice", with({{"axis", i(1)}, {"start", i(2)}, {"end", i(-1)}, {"step", i(-1)}})),
      {"Concat", concat},
      {"Split", split},
      {"Gather", gather},
      attention("plain", 0, false),
      attention("causal", 1, false),
      attention("masked", 0, true),
      packed_attention("causal", 1, false),
      packed_attention("masked", 0, true),
      {"CrossEntropy", cross_entropy},
      {"MeanSquaredError",
       [](SmallGraph& g) {
         return g.parameter("x", {2, 3});
       }},
      {"WeightedLoss", weighted_loss},
      {"shared_weight", shared_weight},
  };
}

INSTANTIATE_TEST_SUITE_P(Ops, Gradient, testing::ValuesIn(cases()), [](const auto& info) { return info.param.name; });

TEST(Gradients, AreAllChecked) {
  std::set<std::string_view> checked;
  for (const GradientCase& row : cases()) {
    SmallGraph small;
    row.build(small);
    for (const Node& node : small.graph.nodes()) checked.insert(node.op->name);
  }
  checked.insert("MeanSquaredError");
  for (const OpDef& def : all_ops()) {
    EXPECT_TRUE(def.gradient == nullptr || checked.contains(def.name)) << def.name;
  }
}

}  // namespace
}  // namespace dml
