// Rules of matrix products, convolutions, lookups, attention and cross entropy: where dividing saves work.
#include "parallel/tensor/rule.h"

namespace dml::split_rules {
namespace {

/// Dims of the operands and the result of y[.., M, N] = op(a)[.., M, K] op(b)[.., K, N].
struct MatmulDims {
  explicit MatmulDims(const RuleContext& c)
      : a_rank(c.input_shape(0).rank()), b_rank(c.input_shape(1).rank()), y_rank(c.output_shape(0).rank()) {
    const bool trans_a = c.node.attrs.integer("trans_a") != 0;
    const bool trans_b = c.node.attrs.integer("trans_b") != 0;
    a_m = a_rank - (trans_a ? 1 : 2);
    a_k = a_rank - (trans_a ? 2 : 1);
    b_k = b_rank - (trans_b ? 1 : 2);
    b_n = b_rank - (trans_b ? 2 : 1);
  }
  int a_rank, b_rank, y_rank;
  int a_m, a_k, b_k, b_n;
};

Sharding bias_of(const RuleContext& c, const Sharding& columns) {
  return c.has_input(2) && columns.is_shard() ? columns.at(0) : Sharding::replicate();
}

void add_matmul(const RuleContext& c, Sharding a, Sharding b, Sharding y, std::vector<Strategy>& strategies) {
  Strategy strategy{{a, b}, {y}};
  if (c.node.inputs.size() > 2)
    strategy.inputs.push_back(
        bias_of(c, y.is_shard() && y.dim == c.output_shape(0).rank() - 1 ? y : Sharding::replicate()));
  strategies.push_back(std::move(strategy));
}

/// The division of a leading dim of one operand, carried to the result and to the other operand if it has that dim.
void matmul_batch(const RuleContext& c, const MatmulDims& dims, std::size_t from, std::vector<Strategy>& strategies) {
  const Sharding& in = c.inputs[from];
  const Shape& other = c.input_shape(1 - from);
  const int y_dim = in.dim + dims.y_rank - (from == 0 ? dims.a_rank : dims.b_rank);
  if (c.output_shape(0)[y_dim] != in.extent()) return;
  const int other_dim = y_dim - (dims.y_rank - other.rank());
  const bool shared = other_dim >= 0 && other[other_dim] == in.extent();
  const Sharding across = shared ? in.at(other_dim) : Sharding::replicate();
  add_matmul(c, from == 0 ? in : across, from == 0 ? across : in, in.at(y_dim), strategies);
}

bool by_classes(const RuleContext& c) {
  const Sharding& logits = c.inputs[0];
  return logits.is_shard() && logits.dim == c.input_shape(0).rank() - 1 && logits.outer == 1 && logits.inner == 1;
}

}  // namespace

void matmul(const RuleContext& c, std::vector<Strategy>& strategies) {
  const MatmulDims dims(c);
  const Sharding& a = c.inputs[0];
  const Sharding& b = c.inputs[1];
  const Sharding whole = Sharding::replicate();
  const bool has_bias = c.has_input(2);
  if (a.is_shard()) {
    if (a.dim == dims.a_k && !has_bias) add_matmul(c, a, a.at(dims.b_k), Sharding::partial(), strategies);
    if (a.dim == dims.a_m) add_matmul(c, a, whole, a.at(dims.y_rank - 2), strategies);
    if (a.dim < dims.a_rank - 2) matmul_batch(c, dims, 0, strategies);
  }
  if (b.is_shard()) {
    if (b.dim == dims.b_k && !has_bias) add_matmul(c, b.at(dims.a_k), b, Sharding::partial(), strategies);
    if (b.dim == dims.b_n) add_matmul(c, whole, b, b.at(dims.y_rank - 1), strategies);
    if (b.dim < dims.b_rank - 2) matmul_batch(c, dims, 1, strategies);
  }
  if (c.wanted != nullptr && !has_bias) {
    if (c.wanted->dim == dims.y_rank - 2 && dims.a_rank == 2)
      add_matmul(c, c.wanted->at(dims.a_m), whole, *c.wanted, strategies);
    if (c.wanted->dim == dims.y_rank - 1) add_matmul(c, whole, c.wanted->at(dims.b_n), *c.wanted, strategies);
  }
}

// By output channels alone: a sum over divided input channels would round otherwise than the whole one, and a network
// of ReLUs under batch norm turns that into another training.
void conv(const RuleContext& c, std::vector<Strategy>& strategies) {
  if (c.node.attrs.integer("group", 1) != 1) return;
  const Sharding& w = c.inputs[1];
  if (!w.is_shard() || w.dim != 0) return;
  strategies.push_back({{Sharding::replicate(), w}, {w.at(1)}});
  if (c.node.inputs.size() > 2) strategies.back().inputs.push_back(w.at(0));
}

void conv_input_grad(const RuleContext& c, std::vector<Strategy>& strategies) {
  if (c.node.attrs.integer("group", 1) != 1) return;
  const Sharding& w = c.inputs[1];
  if (w.is_shard() && w.dim == 0) strategies.push_back({{w.at(1), w}, {Sharding::partial()}});
}

void conv_weight_grad(const RuleContext& c, std::vector<Strategy>& strategies) {
  if (c.node.attrs.integer("group", 1) != 1) return;
  const Sharding w = c.forward_inputs.size() > 1 ? c.forward_inputs[1] : Sharding::replicate();
  if (w.is_shard() && w.dim == 0) strategies.push_back({{w.at(1), Sharding::replicate()}, {w}});
}

void gather(const RuleContext& c, std::vector<Strategy>& strategies) {
  const Shape& x = c.input_shape(0);
  const int axis = x.normalize(c.node.attrs.integer("axis"));
  const int index_rank = c.input_shape(1).rank();
  const Sharding& table = c.inputs[0];
  const Sharding& indices = c.inputs[1];
  if (table.is_partial()) strategies.push_back({{table, Sharding::replicate()}, {table}});
  if (indices.is_shard()) strategies.push_back({{Sharding::replicate(), indices}, {indices.at(indices.dim + axis)}});
  if (!table.is_shard()) return;
  if (table.dim != axis) {
    strategies.push_back(
        {{table, Sharding::replicate()}, {table.at(table.dim < axis ? table.dim : table.dim + index_rank - 1)}});
  } else if (table.outer == 1 && table.inner == 1) {
    strategies.push_back({{table, Sharding::replicate()}, {Sharding::partial()}});
  }
}

void gather_grad(const RuleContext& c, std::vector<Strategy>& strategies) {
  const Shape& dx = c.output_shape(0);
  const int axis = dx.normalize(c.node.attrs.integer("axis"));
  const int index_rank = c.input_shape(1).rank();
  const Sharding& dy = c.inputs[0];
  if (dy.is_partial()) strategies.push_back({{dy, Sharding::replicate()}, {dy}});
  const Sharding table = c.forward_inputs.empty() ? Sharding::replicate() : c.forward_inputs[0];
  if (table.is_shard() && table.dim == axis && table.outer == 1 && table.inner == 1) {
    strategies.push_back({{Sharding::replicate(), Sharding::replicate()}, {table}});
  } else if (table.is_shard() && table.dim != axis) {
    const int dy_dim = table.dim < axis ? table.dim : table.dim + index_rank - 1;
    strategies.push_back({{table.at(dy_dim), Sharding::replicate()}, {table}});
  }
}

void attention(const RuleContext& c, std::vector<Strategy>& strategies) {
  const std::int64_t heads = c.node.attrs.integer("heads");
  const std::int64_t width = c.output_shape(0)[2] / heads;
  const bool packed = c.node.op->name == "PackedAttention";
  const Sharding by_heads = Sharding::shard(2, 1, heads, width);
  const Sharding wanted = packed ? Sharding::shard(2, 3, heads, width) : by_heads;
  const std::size_t operands = packed ? 1 : 3;
  Strategy strategy{std::vector<Sharding>(operands, wanted), {by_heads, Sharding::shard(1, 1, heads, 1)}};
  bool divided = false;
  for (std::size_t i = 0; i < operands; ++i) divided = divided || c.inputs[i] == wanted;
  if (!divided) return;
  if (c.node.inputs.size() > operands) {
    const bool per_head = c.has_input(operands) && c.input_shape(operands)[1] == heads && heads > 1;
    strategy.inputs.push_back(per_head ? Sharding::shard(1, 1, heads, 1) : Sharding::replicate());
  }
  strategies.push_back(std::move(strategy));
}

void attention_grad(const RuleContext& c, std::vector<Strategy>& strategies) {
  // The same division as forward: do and o as the output there, the rest as its inputs.
  if (c.forward_outputs.empty() || !c.forward_outputs[0].is_shard()) return;
  Strategy strategy;
  strategy.inputs.push_back(c.forward_outputs[0]);
  for (const Sharding& in : c.forward_inputs) strategy.inputs.push_back(in);
  const std::size_t mask_at = c.node.op->name == "PackedAttentionGrad" ? 2 : 4;
  if (strategy.inputs.size() == mask_at) strategy.inputs.push_back(Sharding::replicate());
  strategy.inputs.push_back(c.forward_outputs[0]);
  strategy.inputs.push_back(c.forward_outputs[1]);
  strategy.outputs.assign(c.node.outputs.size(), c.forward_inputs[0]);
  if (strategy.inputs.size() == c.node.inputs.size()) strategies.push_back(std::move(strategy));
}

void cross_entropy(const RuleContext& c, std::vector<Strategy>& strategies) {
  if (by_classes(c)) strategies.push_back({{c.inputs[0], {}}, {{}, {}}});
}

void cross_entropy_grad(const RuleContext& c, std::vector<Strategy>& strategies) {
  if (by_classes(c)) strategies.push_back({{c.inputs[0], {}, {}}, {c.inputs[0]}});
}

void localize_gather(Attributes& attrs, const Graph& graph, const Node& node, const Strategy& strategy,
                     TensorPlace place) {
  const Shape& x = graph.shape(node.inputs[0]);
  const Sharding& table = strategy.inputs[0];
  if (table.is_shard() && table.dim == x.normalize(attrs.integer("axis"))) {
    attrs.set("offset", part_begin(table.units, place.size, place.index)).set("whole", table.units);
  }
}

void localize_gather_grad(Attributes& attrs, const Graph& graph, const Node& node, const Strategy& strategy,
                          TensorPlace place) {
  const Shape& dx = graph.shape(node.outputs[0]);
  const Sharding& table = strategy.outputs[0];
  if (table.is_shard() && table.dim == dx.normalize(attrs.integer("axis"))) {
    attrs.set("offset", part_begin(table.units, place.size, place.index)).set("whole", table.units);
  }
  localize_shape(attrs, graph, node, strategy, place);
}

void localize_attention(Attributes& attrs, const Graph&, const Node&, const Strategy& strategy, TensorPlace place) {
  const Sharding& divided = strategy.inputs[0];
  if (divided.is_shard()) attrs.set("heads", part_size(divided.units, place.size, place.index));
}

void localize_cross_entropy_grad(Attributes& attrs, const Graph&, const Node&, const Strategy& strategy,
                                 TensorPlace place) {
  const Sharding& logits = strategy.inputs[0];
  if (logits.is_shard()) attrs.set("offset", part_begin(logits.units, place.size, place.index));
}

}  // namespace dml::split_rules
