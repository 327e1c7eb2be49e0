#include "parallel/cost/kernel_size.h"

#include <algorithm>
#include <cmath>

#include "models/op.h"

namespace dml {
namespace {

struct Share {
  std::string_view operation;
  std::string_view family;
};

// Operations whose loops take the same time as another one's.
constexpr Share kShared[] = {
    {"LinearGelu", "MatMul"},
    {"LinearGeluGrad", "MatMul"},
    {"LinearParamGrad", "MatMul"},
    {"Sub", "Add"},
    {"Mul", "Add"},
    {"Div", "Add"},
    {"Where", "Add"},
    {"Equal", "Add"},
    {"Less", "Add"},
    {"LessOrEqual", "Add"},
    {"Greater", "Add"},
    {"GreaterOrEqual", "Add"},
    {"And", "Add"},
    {"Or", "Add"},
    {"Neg", "Relu"},
    {"Abs", "Relu"},
    {"Clip", "Relu"},
    {"Sqrt", "Relu"},
    {"Reciprocal", "Relu"},
    {"Not", "Relu"},
    {"Cast", "Relu"},
    {"Sigmoid", "Tanh"},
    {"Exp", "Tanh"},
    {"Log", "Tanh"},
    {"Erf", "Tanh"},
    {"Pow", "Tanh"},
    {"ClipGrad", "ReluGrad"},
    {"TanhGrad", "ReluGrad"},
    {"SigmoidGrad", "ReluGrad"},
    {"LogSoftmax", "Softmax"},
    {"LogSoftmaxGrad", "SoftmaxGrad"},
    {"ReduceMean", "ReduceSum"},
    {"MeanSquaredError", "ReduceSum"},
    {"MeanSquaredErrorGrad", "Add"},
    {"Split", "Slice"},
    {"Concat", "Slice"},
    {"Expand", "Slice"},
    {"SliceGrad", "Slice"},
    {"ShardSlice", "Slice"},
    {"ShardMerge", "Slice"},
    {"DropoutGrad", "Dropout"},
    {"PackedAttention", "Attention"},
    {"PackedAttentionGrad", "AttentionGrad"},
    {"CrossEntropyStats", "CrossEntropy"},
};

// Operations that read of their first input what they write, however large it is.
constexpr std::string_view kSelecting[] = {"Gather", "Slice", "Split", "ShardSlice"};

// Families on rows of any length.
constexpr std::string_view kOnRows[] = {"Softmax",       "SoftmaxGrad",   "LayerNorm",
                                        "LayerNormGrad", "CrossEntropy",  "CrossEntropyGrad",
                                        "BatchNorm",     "BatchNormGrad", "LayerNormParamGrad"};

bool is_any_of(std::string_view name, std::span<const std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

double real(std::int64_t extent) { return static_cast<double>(extent); }

double bytes_of(const Graph& graph, ValueId id) {
  if (id == kNone) return 0;
  const Value& value = graph.value(id);
  return real(value.shape.num_elements()) * static_cast<double>(size_of(value.dtype));
}

const Shape& input(const Graph& graph, const Node& node, std::size_t index) { return graph.shape(node.inputs[index]); }

KernelSize product_size(const Graph& graph, const Node& node) {
  const bool trans_a = node.attrs.integer("trans_a") != 0 || node.op->name == "LinearParamGrad";
  const bool trans_b = node.attrs.integer("trans_b") != 0;
  const Shape& a = input(graph, node, 0);
  const Shape& b = input(graph, node, 1);
  const Shape& y = graph.shape(node.outputs[0]);
  const double m = real(y[y.rank() - 2]);
  const double n = real(y.back());
  const double k = real(a[a.rank() - (trans_a ? 2 : 1)]);
  const double matrices = real(y.product(0, y.rank() - 2));
  const bool folds = !trans_a && b.product(0, b.rank() - 2) == 1;  // many matrices a against one b are one of all rows
  if (matrices != 1 && !folds) return {"MatMul.batched", {matrices, m, n, k}, 4};
  return {trans_a ? "MatMul.ta" : trans_b ? "MatMul.tb" : "MatMul", {m * matrices, n, k}, 3};
}

/// x, w and y of the forward convolution that the node belongs to.
KernelSize convolution_size(std::string_view operation, const Shape& w, const Shape& y) {
  const std::int64_t area = w.product(2, w.rank());
  return {std::string(operation) + (area == 1 ? ".1x1" : ""),
          {real(y[0] * y.product(2, y.rank())), real(y[1]), real(w.product(1, w.rank()))},
          3};
}

KernelSize convolution_size(const Graph& graph, const Node& node) {
  const std::string_view name = node.op->name;
  if (name == "Conv") return convolution_size(name, input(graph, node, 1), graph.shape(node.outputs[0]));
  const Shape& w = name == "ConvInputGrad" ? input(graph, node, 1) : graph.shape(node.outputs[0]);
  return convolution_size(name, w, input(graph, node, 0));
}

KernelSize attention_size(const Graph& graph, const Node& node) {
  const std::string_view name = node.op->name;
  const bool packed = name.starts_with("Packed");
  const std::size_t first = name.ends_with("Grad") ? 1 : 0;  // its first input is the output's gradient
  const Shape& q = input(graph, node, first);
  const Shape& k = packed ? q : input(graph, node, first + 1);
  const std::int64_t heads = node.attrs.integer("heads", 1);
  const double width = real(q[2]) / real(heads) / (packed ? 3 : 1);
  return {std::string(family_of(name)) + (node.attrs.integer("causal") != 0 ? ".causal" : ""),
          {real(q[0] * heads), std::sqrt(real(q[1]) * real(k[1])), width},
          3};
}

/// Of operations on the rows of their first input: an image of a channel, or from the attribute `axis` on, or the last
/// dim.
KernelSize row_size(std::string_view family, const Graph& graph, const Node& node) {
  const Shape& x = input(graph, node, 0);
  const int first = family.starts_with("BatchNorm") ? 2 : x.normalize(node.attrs.integer("axis", -1));
  return {std::string(family), {real(x.product(0, first)), real(x.product(first, x.rank()))}, 2};
}

KernelSize memory_size(std::string_view family, const Graph& graph, const Node& node) {
  double read = 0;
  for (const ValueId id : node.inputs) read += bytes_of(graph, id);
  double written = 0;
  for (const ValueId id : node.outputs) written += bytes_of(graph, id);
  if (is_any_of(node.op->name, kSelecting)) read = written;
  const bool broadcasts = family == "Add" && node.inputs.size() > 1 && input(graph, node, 0) != input(graph, node, 1);
  return {std::string(family) + (broadcasts ? ".broadcast" : ""), {read + written}, 1};
}

}  // namespace

std::string_view family_of(std::string_view operation) {
  const auto* const share =
      std::find_if(std::begin(kShared), std::end(kShared), [&](const Share& s) { return s.operation == operation; });
  return share == std::end(kShared) ? operation : share->family;
}

KernelSize kernel_size(const Graph& graph, const Node& node) {
  const std::string_view name = node.op->name;
  if (family_of(name) == "MatMul") return product_size(graph, node);
  if (name.starts_with("Conv")) return convolution_size(graph, node);
  if (name.find("Attention") != std::string_view::npos) return attention_size(graph, node);
  const std::string_view family = family_of(name);
  return is_any_of(family, kOnRows) ? row_size(family, graph, node) : memory_size(family, graph, node);
}

std::optional<KernelSize> following_loop(const Graph& graph, const Node& node) {
  const std::string_view name = node.op->name;
  if (name == "LinearParamGrad")
    return KernelSize{"SumTo", {bytes_of(graph, node.inputs[1]) + bytes_of(graph, node.outputs[1])}, 1};
  const double bytes = bytes_of(graph, node.outputs[0]);
  if (name == "LinearGelu") return KernelSize{"Gelu", {2 * bytes}, 1};
  if (name == "LinearGeluGrad") return KernelSize{"GeluGrad", {3 * bytes}, 1};
  return std::nullopt;
}

}  // namespace dml
