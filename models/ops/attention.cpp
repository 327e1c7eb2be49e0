// Scaled-dot-product attention as one operation: B batch, T queries, S keys, H heads, D head width, C = H D.
#include "models/ops/families.h"
#include "models/ops/rules.h"

namespace dml {
namespace {

using rules::Outputs;

std::int64_t heads_of(const Node& node, std::int64_t width, const std::string& text) {
  const std::int64_t heads = node.attrs.integer("heads");
  if (heads < 1 || width % heads != 0) rules::fail(node, std::to_string(heads) + " heads of " + text);
  return heads;
}

void check_mask(const Graph& graph, const Node& node, int index, const Shape& scores) {
  if (!rules::has_input(node, index)) return;
  rules::require_type(graph, node, index, DataType::f32);
  const Shape& mask = rules::shape(graph, node, index);
  if (mask.rank() != 4 || broadcast(mask, scores) != scores) {
    rules::fail(node, "mask is " + mask.to_string() + ", scores are " + scores.to_string());
  }
}

// q, k and v are inputs first, first + 1 and first + 2; a mask may follow. Returns [B, H, T, S].
Shape scores_of(const Graph& graph, const Node& node, int first) {
  const Shape& q = rules::shape(graph, node, first);
  const Shape& k = rules::shape(graph, node, first + 1);
  rules::require_same_shape(graph, node, first + 1, first + 2);
  if (q.rank() != 3 || k.rank() != 3 || q[0] != k[0] || q[2] != k[2]) {
    rules::fail(node, "q is " + q.to_string() + ", k is " + k.to_string());
  }
  const Shape scores{q[0], heads_of(node, q[2], "q " + q.to_string()), q[1], k[1]};
  check_mask(graph, node, first + 3, scores);
  return scores;
}

Shape packed_scores_of(const Graph& graph, const Node& node, int index) {
  const Shape& qkv = rules::shape(graph, node, index);
  if (qkv.rank() != 3 || qkv[2] % 3 != 0) rules::fail(node, "qkv is " + qkv.to_string());
  const Shape scores{qkv[0], heads_of(node, qkv[2] / 3, "qkv " + qkv.to_string()), qkv[1], qkv[1]};
  check_mask(graph, node, index + 1, scores);
  return scores;
}

Shape lse_of(const Shape& scores) { return {scores[0], scores[1], scores[2]}; }

Outputs infer(const Graph& graph, const Node& node) {
  rules::require_float(graph, node, 0);
  const Shape scores = scores_of(graph, node, 0);
  const Value& q = rules::input(graph, node, 0);
  return {{q.dtype, q.shape}, {DataType::f32, lse_of(scores)}};
}

Outputs infer_packed(const Graph& graph, const Node& node) {
  rules::require_float(graph, node, 0);
  const Shape scores = packed_scores_of(graph, node, 0);
  const Value& qkv = rules::input(graph, node, 0);
  return {{qkv.dtype, Shape{qkv.shape[0], qkv.shape[1], qkv.shape[2] / 3}}, {DataType::f32, lse_of(scores)}};
}

void require_lse(const Graph& graph, const Node& node, int index, const Shape& scores) {
  const Shape& lse = rules::shape(graph, node, index);
  if (lse != lse_of(scores)) {
    rules::fail(node, "lse is " + lse.to_string() + ", scores are " + scores.to_string());
  }
}

Outputs infer_grad(const Graph& graph, const Node& node) {
  const Shape scores = scores_of(graph, node, 1);
  rules::require_same_shape(graph, node, 0, 1);
  rules::require_same_shape(graph, node, 0, 5);
  require_lse(graph, node, 6, scores);
  Outputs grads;
  for (int index = 1; index < 4; ++index) {
    const Value& x = rules::input(graph, node, index);
    grads.push_back({x.dtype, x.shape});
  }
  return grads;
}

Outputs infer_packed_grad(const Graph& graph, const Node& node) {
  const Shape scores = packed_scores_of(graph, node, 1);
  rules::require_same_shape(graph, node, 0, 3);
  require_lse(graph, node, 4, scores);
  const Value& qkv = rules::input(graph, node, 1);
  return {{qkv.dtype, qkv.shape}};
}

ValueId mask_of(const Node& node, int index) {
  return rules::has_input(node, index) ? node.inputs[static_cast<std::size_t>(index)] : kNone;
}

void gradient(GradientBuilder& builder, const Node& node) {
  const ValueId dy = builder.output_grads[0];
  if (dy == kNone) return;
  const auto grads = builder.add_all(
      "AttentionGrad",
      {dy, node.inputs[0], node.inputs[1], node.inputs[2], mask_of(node, 3), node.outputs[0], node.outputs[1]},
      node.attrs, Phase::input_grad);
  for (std::size_t i = 0; i < 3; ++i) {
    if (builder.wanted[i]) builder.input_grads[i] = grads[i];
  }
}

void packed_gradient(GradientBuilder& builder, const Node& node) {
  const ValueId dy = builder.output_grads[0];
  if (dy == kNone || !builder.wanted[0]) return;
  builder.input_grads[0] =
      builder.add("PackedAttentionGrad", {dy, node.inputs[0], mask_of(node, 1), node.outputs[0], node.outputs[1]},
                  node.attrs, Phase::input_grad);
}

// Two products of the forward pass, T S D multiply-adds each per head; a causal mask leaves half of them.
double product_flops(const Node& node, const Shape& scores, std::int64_t width) {
  const double pairs = static_cast<double>(scores.num_elements()) * (node.attrs.integer("causal") != 0 ? 0.5 : 1.0);
  return 4.0 * pairs * static_cast<double>(width / scores[1]);
}

double flops(const Graph& graph, const Node& node) {
  return product_flops(node, scores_of(graph, node, 0), graph.shape(node.inputs[0])[2]);
}

double packed_flops(const Graph& graph, const Node& node) {
  return product_flops(node, packed_scores_of(graph, node, 0), graph.shape(node.outputs[0])[2]);
}

// Four products; the scores, which are computed again, are not counted.
double grad_flops(const Graph& graph, const Node& node) {
  return 2 * product_flops(node, scores_of(graph, node, 1), graph.shape(node.inputs[0])[2]);
}

double packed_grad_flops(const Graph& graph, const Node& node) {
  return 2 * product_flops(node, packed_scores_of(graph, node, 1), graph.shape(node.inputs[0])[2]);
}

constexpr OpDef kOps[] = {
    {.name = "Attention",
     .min_inputs = 3,
     .max_inputs = 4,
     .num_outputs = 2,
     .infer = infer,
     .gradient = gradient,
     .flops = flops},
    {.name = "PackedAttention",
     .min_inputs = 1,
     .max_inputs = 2,
     .num_outputs = 2,
     .infer = infer_packed,
     .gradient = packed_gradient,
     .flops = packed_flops},
    {.name = "AttentionGrad",
     .min_inputs = 7,
     .max_inputs = 7,
     .num_outputs = 3,
     .infer = infer_grad,
     .flops = grad_flops},
    {.name = "PackedAttentionGrad",
     .min_inputs = 5,
     .max_inputs = 5,
     .infer = infer_packed_grad,
     .flops = packed_grad_flops},
};

}  // namespace

std::span<const OpDef> attention_ops() { return kOps; }

}  // namespace dml
