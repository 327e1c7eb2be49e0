// Moving shards on the tensor axis. A shard of a dim of extent outer x units x inner keeps, of each of the `outer`
// blocks, the units [begin, end) of `inner` elements.
#include "models/ops/families.h"
#include "models/ops/rules.h"

namespace dml {
namespace {

using rules::Outputs;

// The dim that is split, after a check that its extent is outer x units x inner.
int split_dim(const Node& node, const Shape& whole) {
  const int dim = whole.normalize(node.attrs.integer("dim"));
  const std::int64_t outer = node.attrs.integer("outer", 1);
  const std::int64_t units = node.attrs.integer("units");
  const std::int64_t inner = node.attrs.integer("inner", 1);
  if (outer * units * inner != whole[dim]) {
    rules::fail(node, std::to_string(outer) + " blocks of " + std::to_string(units) + " units of " +
                          std::to_string(inner) + " in dim " + std::to_string(dim) + " of " + whole.to_string());
  }
  return dim;
}

Outputs infer_slice(const Graph& graph, const Node& node) {
  const Value& x = rules::input(graph, node, 0);
  const int dim = split_dim(node, x.shape);
  const std::int64_t begin = node.attrs.integer("begin");
  const std::int64_t end = node.attrs.integer("end");
  if (begin < 0 || begin > end || end > node.attrs.integer("units")) {
    rules::fail(node, "units " + std::to_string(begin) + " to " + std::to_string(end) + " of " +
                          std::to_string(node.attrs.integer("units")));
  }
  Shape y = x.shape;
  y[dim] = node.attrs.integer("outer", 1) * (end - begin) * node.attrs.integer("inner", 1);
  return {{x.dtype, y}};
}

Outputs infer_merge(const Graph& graph, const Node& node) {
  const Value& parts = rules::input(graph, node, 0);
  const Shape y = rules::shape_attribute(node);
  split_dim(node, y);
  if (parts.shape.num_elements() != y.num_elements()) {
    rules::fail(node, "parts are " + parts.shape.to_string() + ", y is " + y.to_string());
  }
  return {{parts.dtype, y}};
}

// Flat, unless a shape is given.
Outputs infer_all_gather(const Graph& graph, const Node& node) {
  std::int64_t total = 0;
  for (const std::int64_t count : node.attrs.integers("counts")) total += count;
  const Shape y = node.attrs.has("shape") ? rules::shape_attribute(node) : Shape{total};
  if (y.num_elements() != total) {
    rules::fail(node, "y is " + y.to_string() + ", the counts sum to " + std::to_string(total));
  }
  return {{rules::input(graph, node, 0).dtype, y}};
}

constexpr OpDef kOps[] = {
    {.name = "ShardSlice", .infer = infer_slice},    {.name = "ShardMerge", .infer = infer_merge},
    {.name = "AllReduce", .infer = rules::as_first}, {.name = "AllGather", .infer = infer_all_gather},
    {.name = "ReduceScatter", .infer = infer_slice},
};

}  // namespace

std::span<const OpDef> shard_ops() { return kOps; }

}  // namespace dml
