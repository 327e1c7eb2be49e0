// Rules of operations that work element by element, or along some dims only.
#include <algorithm>

#include "parallel/tensor/rule.h"

namespace dml::split_rules {
namespace {

/// The dim of `shape` that is aligned with dim `dim` of `other` under broadcasting from the right; -1 where absent.
int aligned(const Shape& shape, int dim, const Shape& other) { return dim - (other.rank() - shape.rank()); }

/// What input `shape` must be when the broadcast result `whole` is divided by `sharding`.
Sharding input_of(const Shape& shape, const Sharding& sharding, const Shape& whole) {
  const int dim = aligned(shape, sharding.dim, whole);
  if (dim < 0 || shape[dim] != sharding.extent()) return Sharding::replicate();
  return sharding.at(dim);
}

void divide_outputs(const RuleContext& c, const Sharding& sharding, std::vector<Strategy>& strategies) {
  const Shape& whole = c.output_shape(0);
  Strategy strategy;
  for (std::size_t i = 0; i < c.node.inputs.size(); ++i) {
    strategy.inputs.push_back(c.has_input(i) ? input_of(c.input_shape(i), sharding, whole) : Sharding::replicate());
  }
  strategy.outputs.assign(c.node.outputs.size(), sharding);
  strategies.push_back(std::move(strategy));
}

}  // namespace

void elementwise(const RuleContext& c, std::vector<Strategy>& strategies) {
  const Shape& whole = c.output_shape(0);
  for (std::size_t i = 0; i < c.node.inputs.size(); ++i) {
    if (!c.has_input(i) || !c.inputs[i].is_shard()) continue;
    const int dim = c.inputs[i].dim + whole.rank() - c.input_shape(i).rank();
    if (whole[dim] == c.inputs[i].extent()) divide_outputs(c, c.inputs[i].at(dim), strategies);
  }
}

void linear(const RuleContext& c, std::vector<Strategy>& strategies) {
  elementwise(c, strategies);
  const bool is_sum = is_float(c.graph.value(c.node.outputs[0]).dtype);  // a Cast to integers rounds every addend
  if (is_sum && std::all_of(c.inputs.begin(), c.inputs.end(), [](const Sharding& s) { return s.is_partial(); })) {
    strategies.push_back({std::vector<Sharding>(c.inputs.size(), Sharding::partial()), {Sharding::partial()}});
  }
}

void product(const RuleContext& c, std::vector<Strategy>& strategies) {
  elementwise(c, strategies);
  const std::size_t linear_inputs = c.node.op->name == "Mul" ? 2 : 1;
  for (std::size_t i = 0; i < linear_inputs; ++i) {
    if (!c.inputs[i].is_partial()) continue;
    Strategy strategy{{Sharding::replicate(), Sharding::replicate()}, {Sharding::partial()}};
    strategy.inputs[i] = Sharding::partial();
    strategies.push_back(std::move(strategy));
  }
}

void along_axis(const RuleContext& c, std::vector<Strategy>& strategies) {
  const Shape& whole = c.output_shape(0);
  const int axis = whole.normalize(c.node.attrs.integer("axis", -1));
  for (std::size_t i = 0; i < c.node.inputs.size(); ++i) {
    if (c.has_input(i) && c.inputs[i].is_shard() && c.inputs[i].dim != axis) divide_outputs(c, c.inputs[i], strategies);
  }
}

void expand(const RuleContext& c, std::vector<Strategy>& strategies) { linear(c, strategies); }

void sum_to(const RuleContext& c, std::vector<Strategy>& strategies) {
  const Sharding& in = c.inputs[0];
  const Shape& x = c.input_shape(0);
  const Shape& y = c.output_shape(0);
  if (in.is_partial()) strategies.push_back({{in}, {in}});
  if (!in.is_shard()) return;
  const int dim = aligned(y, in.dim, x);
  const bool kept = dim >= 0 && y[dim] == x[in.dim];
  strategies.push_back({{in}, {kept ? in.at(dim) : Sharding::partial()}});
}

void reduce(const RuleContext& c, std::vector<Strategy>& strategies) {
  const Sharding& in = c.inputs[0];
  if (in.is_partial()) strategies.push_back({{in}, {in}});
  if (!in.is_shard()) return;
  const Shape& x = c.input_shape(0);
  const bool keep = c.node.attrs.integer("keepdims", 1) != 0;
  std::vector<bool> reduced(static_cast<std::size_t>(x.rank()), c.node.attrs.integers("axes").empty());
  for (const std::int64_t axis : c.node.attrs.integers("axes"))
    reduced[static_cast<std::size_t>(x.normalize(axis))] = true;
  if (reduced[static_cast<std::size_t>(in.dim)]) {
    if (c.node.op->name == "ReduceSum") strategies.push_back({{in}, {Sharding::partial()}});
    return;
  }
  const auto dropped = keep ? 0 : std::count(reduced.begin(), reduced.begin() + in.dim, true);
  strategies.push_back({{in}, {in.at(in.dim - static_cast<int>(dropped))}});
}

void transpose(const RuleContext& c, std::vector<Strategy>& strategies) {
  const Sharding& in = c.inputs[0];
  if (in.is_partial()) strategies.push_back({{in}, {in}});
  if (!in.is_shard()) return;
  const auto perm = c.node.attrs.integers("perm");
  const auto place = std::find(perm.begin(), perm.end(), in.dim);
  strategies.push_back({{in}, {in.at(static_cast<int>(place - perm.begin()))}});
}

void reshape(const RuleContext& c, std::vector<Strategy>& strategies) {
  const Sharding& in = c.inputs[0];
  if (in.is_partial()) strategies.push_back({{in}, {in}});
  if (!in.is_shard()) return;
  // The divided units have `left` elements' worth of blocks before them in row-major order; that does not change.
  const std::int64_t left = c.input_shape(0).product(0, in.dim) * in.outer;
  const Shape& y = c.output_shape(0);
  for (int dim = 0; dim < y.rank(); ++dim) {
    const std::int64_t before = y.product(0, dim);
    if (before == 0 || left % before != 0) continue;
    const std::int64_t outer = left / before;
    if (y[dim] % (outer * in.units) != 0 || y[dim] < outer * in.units) continue;
    strategies.push_back({{in}, {Sharding::shard(dim, outer, in.units, y[dim] / (outer * in.units))}});
    return;
  }
}

void pool(const RuleContext& c, std::vector<Strategy>& strategies) {
  for (const Sharding& in : c.inputs) {
    if (!in.is_shard() || in.dim > 1) continue;
    strategies.push_back(
        {std::vector<Sharding>(c.inputs.size(), in), std::vector<Sharding>(c.node.outputs.size(), in)});
  }
}

void localize_shape(Attributes& attrs, const Graph& graph, const Node& node, const Strategy& strategy,
                    TensorPlace place) {
  attrs.set("shape", local_shape(graph.shape(node.outputs[0]), strategy.outputs[0], place).to_vector());
}

void localize_dropout(Attributes& attrs, const Graph& graph, const Node& node, const Strategy& strategy,
                      TensorPlace place) {
  const Sharding& s = strategy.outputs[0];
  if (!s.is_shard()) return;
  (void)graph;
  (void)node;
  attrs.set("shard",
            std::vector<std::int64_t>{s.dim, s.outer, s.units, s.inner, part_begin(s.units, place.size, place.index),
                                      part_begin(s.units, place.size, place.index + 1)});
}

}  // namespace dml::split_rules
