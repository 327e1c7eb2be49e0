// B batch, T queries, S keys, H heads, D head width, C = H D. The operands of the products are traced back to
// [B, T, C] and the result forward to it; what lies between is replaced by one node.
#include "models/op.h"
#include "models/rewrite/attention_mask.h"
#include "models/rewrite/head_layout.h"
#include "models/rewrite/match.h"
#include "models/rewrite/passes.h"

namespace dml {
namespace {

using Dims = HeadLayout::Dims;

const std::vector<Part> kMergedOrder{Part::batch, Part::position, Part::head, Part::width};

/// A value [B, T, C] that a product's operand comes from, and the factor that it takes on the way.
struct Operand {
  ValueId base = kNone;
  double scale = 1;
};

struct Scores {
  const Node* product = nullptr;
  double scale = 1;
  std::shared_ptr<const AttentionMask> mask;  ///< null: none
};

struct Match {
  Operand q, k, v;
  Scores scores;
  std::int64_t heads = 0;
  NodeId product = kNone;  ///< probabilities times v
  ValueId merged = kNone;  ///< o in the order B, T, H, D
};

bool is_set(const Node& node, std::string_view flag) { return node.attrs.integer(flag) != 0; }

/// A product of two operands without anything else.
bool is_plain(const Node& product) {
  return !is_set(product, "accumulate") && product.inputs.size() == 2 && !is_set(product, "trans_a");
}

HeadLayout layout_of_base(const Shape& base, std::int64_t head_width) {
  return {{base[0], base[1], base[2] / head_width, head_width},
          {{Part::batch}, {Part::position}, {Part::head, Part::width}}};
}

/// What the dims of a product's operand run through; heads are part of dim 0 where the product has rank 3.
Dims operand_dims(int rank, bool is_transposed) {
  Dims dims = rank == 4 ? Dims{{Part::batch}, {Part::head}} : Dims{{Part::batch, Part::head}};
  const std::vector<Part> last = {Part::position, Part::width};
  dims.push_back({last[is_transposed ? 1 : 0]});
  dims.push_back({last[is_transposed ? 0 : 1]});
  return dims;
}

/// Whether `steps`, last first, lead from the base to `dims`.
bool leads_to(const Graph& graph, ValueId base, const std::vector<const Node*>& steps, std::int64_t head_width,
              const Dims& dims) {
  const Shape& shape = graph.shape(base);
  if (shape.rank() != 3 || shape[2] % head_width != 0) return false;
  std::optional<HeadLayout> layout = layout_of_base(shape, head_width);
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    layout = layout->after(graph, **step);
    if (!layout) return false;
  }
  return layout->has_dims(dims);
}

/// The value that a node only multiplies by a constant, and that constant, without a broadcast.
std::optional<Matcher::WithConstant> constant_factor(const Matcher& matcher, const Node& node) {
  const bool is_division = node.op->name == "Div";
  if (!is_division && node.op->name != "Mul") return std::nullopt;
  auto factor = matcher.with_constant(node);
  if (!factor || (is_division && factor->other != node.inputs[0])) return std::nullopt;
  if (matcher.graph().shape(factor->other) != matcher.graph().shape(node.outputs[0])) return std::nullopt;
  if (is_division) factor->constant = 1 / factor->constant;
  return factor;
}

/// Follows `value` back through Reshape, Transpose and, if `takes_scale`, constant factors to the farthest [B, T, C].
std::optional<Operand> trace_back(const Matcher& matcher, ValueId value, std::int64_t head_width, const Dims& dims,
                                  bool takes_scale) {
  const Graph& graph = matcher.graph();
  std::optional<Operand> found;
  Operand operand{value, 1};
  std::vector<const Node*> steps;
  while (true) {
    if (leads_to(graph, operand.base, steps, head_width, dims)) found = operand;
    const NodeId producer = graph.value(operand.base).producer;
    if (producer == kNone || !matcher.is_internal(operand.base)) return found;
    const Node& node = graph.node(producer);
    if (node.op->name == "Reshape" || node.op->name == "Transpose") {
      steps.push_back(&node);
      operand.base = node.inputs[0];
      continue;
    }
    const auto factor = takes_scale ? constant_factor(matcher, node) : std::nullopt;
    if (!factor) return found;
    operand.scale *= factor->constant;
    operand.base = factor->other;
  }
}

/// Follows the input of the softmax back to the product of q and k.
std::optional<Scores> trace_scores(const Matcher& matcher, MaskMatcher& masks, ValueId value) {
  Scores result;
  while (matcher.is_internal(value)) {
    if (const Node* product = matcher.producer(value, "MatMul")) {
      if (!is_plain(*product)) return std::nullopt;
      result.product = product;
      result.scale *= product->attrs.real("alpha", 1);
      return result;
    }
    const NodeId producer = matcher.graph().value(value).producer;
    if (producer == kNone) return std::nullopt;
    const Node& node = matcher.graph().node(producer);
    if (const auto factor = constant_factor(matcher, node)) {
      result.scale *= factor->constant;
      value = factor->other;
      continue;
    }
    auto masked = masks.match(node);
    if (!masked || result.mask || result.scale != 1) return std::nullopt;
    result.mask = std::move(masked->mask);
    value = masked->scores;
  }
  return std::nullopt;
}

/// Follows o forward until its elements lie in the order B, T, H, D, if possible as [B, T, C]; kNone where they never
/// do, or only in o itself under another shape.
ValueId trace_forward(const Matcher& matcher, ValueId o, const Shape& q, std::int64_t heads) {
  const Graph& graph = matcher.graph();
  const HeadLayout::Extents extents{q[0], q[1], heads, q[2] / heads};
  std::optional<HeadLayout> layout = HeadLayout(extents, operand_dims(graph.shape(o).rank(), false));
  const ValueId first = o;
  ValueId found = kNone;
  while (layout) {
    const bool is_merged = graph.shape(o) == q;
    if (layout->has_order(kMergedOrder) && (is_merged || o != first)) {
      found = o;
      if (is_merged) break;
    }
    if (!matcher.is_internal(o)) break;
    const Node& next = graph.node(matcher.reader(o));
    layout = layout->after(graph, next);
    o = next.outputs[0];
  }
  return found;
}

/// The product with v that alone reads the probabilities; kNone where there is none.
NodeId product_with_v(const Matcher& matcher, const Node& softmax) {
  const Graph& graph = matcher.graph();
  const ValueId probabilities = softmax.outputs[0];
  const Shape& shape = graph.shape(probabilities);
  if ((shape.rank() != 3 && shape.rank() != 4) || !matcher.is_internal(probabilities)) return kNone;
  if (shape.normalize(softmax.attrs.integer("axis", -1)) != shape.rank() - 1) return kNone;
  const NodeId reader = matcher.reader(probabilities);
  const Node& product = graph.node(reader);
  if (product.op->name != "MatMul" || product.inputs[0] != probabilities || !is_plain(product)) return kNone;
  return is_set(product, "trans_b") || product.attrs.real("alpha", 1) != 1 ? kNone : reader;
}

/// Traces q, k and v of `found`, whose products are known; false where they do not come from [B, T, C] and [B, S, C].
bool trace_operands(const Matcher& matcher, Match& found) {
  const Graph& graph = matcher.graph();
  const Node& scores = *found.scores.product;
  const ValueId v_operand = graph.node(found.product).inputs[1];
  const int rank = graph.shape(scores.outputs[0]).rank();
  const std::int64_t width = graph.shape(scores.inputs[0]).back();
  if (graph.shape(v_operand).back() != width) return false;
  const Dims as_stored = operand_dims(rank, false);
  const Dims of_k = operand_dims(rank, !is_set(scores, "trans_b"));
  const auto q = trace_back(matcher, scores.inputs[0], width, as_stored, true);
  const auto k = trace_back(matcher, scores.inputs[1], width, of_k, true);
  const auto v = trace_back(matcher, v_operand, width, as_stored, false);
  if (!q || !k || !v) return false;
  if (graph.shape(k->base) != graph.shape(v->base) || graph.shape(q->base)[2] != graph.shape(k->base)[2]) return false;
  found.q = *q;
  found.k = *k;
  found.v = *v;
  found.heads = graph.shape(q->base)[2] / width;
  return true;
}

std::optional<Match> match(const Matcher& matcher, MaskMatcher& masks, const Node& softmax) {
  const Graph& graph = matcher.graph();
  Match found;
  found.product = product_with_v(matcher, softmax);
  if (found.product == kNone) return std::nullopt;
  auto scores = trace_scores(matcher, masks, softmax.inputs[0]);
  if (!scores || graph.shape(scores->product->outputs[0]) != graph.shape(softmax.outputs[0])) return std::nullopt;
  found.scores = std::move(*scores);
  if (!trace_operands(matcher, found)) return std::nullopt;
  const ValueId o = graph.node(found.product).outputs[0];
  found.merged = trace_forward(matcher, o, graph.shape(found.q.base), found.heads);
  return found.merged == kNone ? std::nullopt : std::optional(std::move(found));
}

/// The tensor whose thirds along the last dim are q, k and v, read by nothing else; kNone where they are no such
/// thirds.
ValueId packed_source(const Matcher& matcher, const Match& found) {
  const Graph& graph = matcher.graph();
  const Node* split = matcher.producer(found.q.base, "Split");
  if (split == nullptr || split->outputs != std::vector<ValueId>{found.q.base, found.k.base, found.v.base})
    return kNone;
  const Shape& q = graph.shape(found.q.base);
  if (q != graph.shape(found.k.base) || graph.shape(split->inputs[0])[2] != 3 * q[2]) return kNone;
  for (const ValueId part : split->outputs) {
    if (!matcher.is_internal(part)) return kNone;
  }
  return split->inputs[0];
}

ValueId add_mask(Graph& graph, const AttentionMask& mask, const std::string& name) {
  Value value;
  value.name = name + ".mask";
  value.shape = mask.shape();
  value.role = Role::constant;
  value.source = make_source(mask.shape(), mask.elements());
  return graph.add_value(std::move(value));
}

ValueId add_activation(Graph& graph, std::string name, const Shape& shape) {
  Value value;
  value.name = std::move(name);
  value.shape = shape;
  return graph.add_value(std::move(value));
}

Node attention_node(Graph& graph, const Matcher& matcher, const Match& found) {
  const Node& product = graph.node(found.product);
  const Shape q = graph.shape(found.q.base);
  const std::int64_t num_keys = graph.shape(found.k.base)[1];
  Node node;
  node.name = product.name;
  node.scope = product.scope;
  const ValueId packed = packed_source(matcher, found);
  node.op = op(packed == kNone ? "Attention" : "PackedAttention");
  node.inputs = packed == kNone ? std::vector{found.q.base, found.k.base, found.v.base} : std::vector{packed};
  const bool is_causal = found.scores.mask && found.scores.mask->is_causal(q[1], num_keys);
  node.attrs.set("heads", found.heads)
      .set("scale", found.scores.scale * found.q.scale * found.k.scale)
      .set("causal", std::int64_t{is_causal ? 1 : 0});
  if (found.scores.mask && !is_causal) node.inputs.push_back(add_mask(graph, *found.scores.mask, node.name));
  const ValueId lse = add_activation(graph, node.name + ".lse", Shape{q[0], found.heads, q[1]});
  node.outputs = {found.merged, lse};
  return node;
}

/// Puts the fused node where the merged value was computed; a value of another shape becomes a Reshape of its output.
void replace(Graph& graph, const Matcher& matcher, const Match& found) {
  Node attention = attention_node(graph, matcher, found);
  const Shape q = graph.shape(found.q.base);
  const NodeId last = graph.value(found.merged).producer;
  if (graph.shape(found.merged) == q) {
    graph.node(last) = std::move(attention);
    return;
  }
  const ValueId o = add_activation(graph, attention.name + ".o", q);
  attention.outputs[0] = o;
  Node reshape = graph.node(last);
  reshape.op = op("Reshape");
  reshape.inputs = {o};
  reshape.attrs = Attributes().set("shape", graph.shape(found.merged).to_vector());
  graph.value(o).producer = found.product;
  graph.node(found.product) = std::move(attention);
  graph.node(last) = std::move(reshape);
}

}  // namespace

void fuse_attention(Graph& graph) {
  const Matcher matcher(graph);
  MaskMatcher masks(matcher);
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    if (graph.node(id).op->name != "Softmax") continue;
    if (const auto found = match(matcher, masks, graph.node(id))) replace(graph, matcher, *found);
  }
}

}  // namespace dml
