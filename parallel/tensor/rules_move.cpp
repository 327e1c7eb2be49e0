// Rules of operations that move pieces (Slice, Split, Concat) and of the normalizations.
#include "parallel/tensor/rule.h"

namespace dml::split_rules {
namespace {

int axis_of(const RuleContext& c, const Shape& shape) { return shape.normalize(c.node.attrs.integer("axis")); }

/// A piece [start, start + size) of a dim divided as outer·units·inner is divided alike if it is made of whole blocks.
bool whole_blocks(const Sharding& s, std::int64_t start, std::int64_t size) {
  const std::int64_t block = s.units * s.inner;
  return start % block == 0 && size % block == 0 && size > 0;
}

Sharding with_blocks(const Sharding& s, std::int64_t size) {
  return Sharding::shard(s.dim, size / (s.units * s.inner), s.units, s.inner);
}

/// A position along a divided dim, as a position in this rank's part.
std::int64_t localized(const Sharding& s, std::int64_t position, TensorPlace place) {
  return position / s.units * part_size(s.units, place.size, place.index);  // a position at a block's boundary
}

}  // namespace

void slice(const RuleContext& c, std::vector<Strategy>& strategies) {
  const bool is_grad = c.node.op->name == "SliceGrad";
  const Sharding& in = c.inputs[0];
  if (in.is_partial()) strategies.push_back({{in}, {in}});
  if (!in.is_shard()) return;
  const Shape& big = is_grad ? c.output_shape(0) : c.input_shape(0);
  const Shape& small = is_grad ? c.input_shape(0) : c.output_shape(0);
  const int axis = axis_of(c, big);
  if (in.dim != axis) {
    strategies.push_back({{in}, {in}});
    return;
  }
  const std::int64_t start = c.node.attrs.integer("start");
  const std::int64_t block = in.units * in.inner;
  if (c.node.attrs.integer("step", 1) != 1 || !whole_blocks(in, start, small[axis]) || big[axis] % block != 0) return;
  strategies.push_back({{in}, {with_blocks(in, c.output_shape(0)[axis])}});
}

void split(const RuleContext& c, std::vector<Strategy>& strategies) {
  const Sharding& in = c.inputs[0];
  const std::size_t count = c.node.outputs.size();
  if (in.is_partial()) strategies.push_back({{in}, std::vector<Sharding>(count, in)});
  if (!in.is_shard()) return;
  const int axis = axis_of(c, c.input_shape(0));
  if (in.dim != axis) {
    strategies.push_back({{in}, std::vector<Sharding>(count, in)});
    return;
  }
  Strategy strategy{{in}, {}};
  std::int64_t start = 0;
  for (const std::int64_t size : c.node.attrs.integers("sizes")) {
    if (!whole_blocks(in, start, size)) return;
    strategy.outputs.push_back(with_blocks(in, size));
    start += size;
  }
  strategies.push_back(std::move(strategy));
}

void concat(const RuleContext& c, std::vector<Strategy>& strategies) {
  const int axis = axis_of(c, c.output_shape(0));
  bool all_partial = true;
  const Sharding* first = nullptr;
  for (const Sharding& in : c.inputs) {
    all_partial = all_partial && in.is_partial();
    if (in.is_shard() && first == nullptr) first = &in;
  }
  if (all_partial) strategies.push_back({{c.inputs.begin(), c.inputs.end()}, {Sharding::partial()}});
  if (first == nullptr) return;
  if (first->dim != axis) {
    strategies.push_back({std::vector<Sharding>(c.inputs.size(), *first), {*first}});
    return;
  }
  Strategy strategy;
  for (std::size_t i = 0; i < c.inputs.size(); ++i) {
    if (!whole_blocks(*first, 0, c.input_shape(i)[axis])) return;
    strategy.inputs.push_back(with_blocks(*first, c.input_shape(i)[axis]));
  }
  strategy.outputs.push_back(with_blocks(*first, c.output_shape(0)[axis]));
  strategies.push_back(std::move(strategy));
}

void layer_norm(const RuleContext& c, std::vector<Strategy>& strategies) {
  const Sharding& x = c.inputs[0];
  if (!x.is_shard() || x.dim >= c.input_shape(0).normalize(c.node.attrs.integer("axis", -1))) return;
  Strategy strategy{std::vector<Sharding>(c.inputs.size(), Sharding::replicate()), {x, x, x}};
  strategy.inputs[0] = x;
  strategies.push_back(std::move(strategy));
}

void layer_norm_grad(const RuleContext& c, std::vector<Strategy>& strategies) {
  const Sharding x = c.inputs[1];
  if (!x.is_shard() || x.dim >= c.input_shape(1).normalize(c.node.attrs.integer("axis", -1))) return;
  strategies.push_back({{x, x, Sharding::replicate(), x, x}, {x}});
}

void layer_norm_param_grad(const RuleContext& c, std::vector<Strategy>& strategies) {
  const Sharding x = c.inputs[1];
  if (!x.is_shard() || x.dim >= c.input_shape(1).normalize(c.node.attrs.integer("axis", -1))) return;
  strategies.push_back({{x, x, x, x}, {Sharding::partial(), Sharding::partial()}});
}

void batch_norm(const RuleContext& c, std::vector<Strategy>& strategies) {
  // Forward: x and five outputs; gradient: dy, x and dx, dscale, dbias. All else is a vector over the channels.
  const std::size_t images = c.node.op->name == "BatchNorm" ? 1 : 2;
  const Sharding* x = nullptr;
  for (std::size_t i = 0; i < images; ++i) {
    if (c.inputs[i].is_shard() && c.inputs[i].dim == 1) x = &c.inputs[i];
  }
  if (x == nullptr) return;
  Strategy strategy{std::vector<Sharding>(c.inputs.size(), x->at(0)),
                    std::vector<Sharding>(c.node.outputs.size(), x->at(0))};
  for (std::size_t i = 0; i < images; ++i) strategy.inputs[i] = *x;
  strategy.outputs[0] = *x;
  strategies.push_back(std::move(strategy));
}

void localize_slice(Attributes& attrs, const Graph& graph, const Node& node, const Strategy& strategy,
                    TensorPlace place) {
  const Sharding& s = strategy.inputs[0];
  if (!s.is_shard() || s.dim != graph.shape(node.inputs[0]).normalize(attrs.integer("axis"))) return;
  const std::int64_t start = node.attrs.integer("start");
  attrs.set("start", localized(s, start, place));
  attrs.set("end", localized(s, start + graph.shape(node.outputs[0])[s.dim], place));
}

void localize_slice_grad(Attributes& attrs, const Graph& graph, const Node& node, const Strategy& strategy,
                         TensorPlace place) {
  const Sharding& s = strategy.outputs[0];
  if (s.is_shard() && s.dim == graph.shape(node.outputs[0]).normalize(attrs.integer("axis"))) {
    attrs.set("start", localized(s, attrs.integer("start"), place));
  }
  localize_shape(attrs, graph, node, strategy, place);
}

void localize_split(Attributes& attrs, const Graph& graph, const Node& node, const Strategy& strategy,
                    TensorPlace place) {
  const Sharding& s = strategy.inputs[0];
  if (!s.is_shard() || s.dim != graph.shape(node.inputs[0]).normalize(attrs.integer("axis"))) return;
  std::vector<std::int64_t> sizes;
  for (const std::int64_t size : node.attrs.integers("sizes")) sizes.push_back(localized(s, size, place));
  attrs.set("sizes", std::move(sizes));
}

}  // namespace dml::split_rules
