// Elements that change their place or are summed: reductions, reshape, transpose, expand.
#include "tests/reference/rules.h"

namespace dml::reference {
namespace {

void reduce(const Call& call, bool is_mean) {
  const Tensor64& x = call.in[0];
  Shape kept = x.shape;  // with reduced dims of extent 1
  if (!call.attrs().has("axes")) {
    for (std::int64_t& extent : std::span(&kept[0], static_cast<std::size_t>(kept.rank()))) extent = 1;
  }
  for (const std::int64_t axis : call.attrs().integers("axes")) kept[x.shape.normalize(axis)] = 1;
  const double num_terms = static_cast<double>(x.shape.num_elements()) / static_cast<double>(kept.num_elements());
  Tensor64 sums = Tensor64::zeros(kept);
  for_each(x.shape, [&](const Index& i) { at(sums, i) += at(x, i) / (is_mean ? num_terms : 1); });
  call.out[0].elements = sums.elements;
}

void sum_to(const Call& call) {
  for_each(call.in[0].shape, [&](const Index& i) { at(call.out[0], i) += at(call.in[0], i); });
}

void reshape(const Call& call) { call.out[0].elements = call.in[0].elements; }

void transpose(const Call& call) {
  const auto perm = call.attrs().integers("perm");
  for_each(call.out[0].shape, [&](const Index& i) {
    Index in_x(i.size());
    for (std::size_t dim = 0; dim < i.size(); ++dim) {
      in_x[static_cast<std::size_t>(call.in[0].shape.normalize(perm[dim]))] = i[dim];
    }
    at(call.out[0], i) = at(call.in[0], in_x);
  });
}

void expand(const Call& call) {
  for_each(call.out[0].shape, [&](const Index& i) { at(call.out[0], i) = at(call.in[0], i); });
}

/// A dim of outer blocks of `units` units of `inner` elements, of which a shard keeps the units from `begin` on.
struct Units {
  std::int64_t outer, units, inner;

  explicit Units(const Attributes& attrs)
      : outer(attrs.integer("outer", 1)), units(attrs.integer("units")), inner(attrs.integer("inner", 1)) {}
  /// Where element `place` of a shard of `kept` units lies in the whole dim.
  std::int64_t in_whole(std::int64_t place, std::int64_t begin, std::int64_t kept) const {
    const std::int64_t block = place / (kept * inner);
    const std::int64_t unit = place / inner % kept;
    return (block * units + begin + unit) * inner + place % inner;
  }
};

void shard_slice(const Call& call) {
  const Units units(call.attrs());
  const std::int64_t begin = call.attrs().integer("begin");
  const std::int64_t kept = call.attrs().integer("end") - begin;
  const int dim = call.in[0].shape.normalize(call.attrs().integer("dim"));
  for_each(call.out[0].shape, [&](const Index& i) {
    const std::int64_t place = units.in_whole(i[static_cast<std::size_t>(dim)], begin, kept);
    at(call.out[0], i) = at(call.in[0], moved(i, dim, place));
  });
}

void shard_merge(const Call& call) {
  const Units units(call.attrs());
  const std::int64_t parts = call.attrs().integer("parts");
  const Shape& whole = call.out[0].shape;
  const int dim = whole.normalize(call.attrs().integer("dim"));
  std::size_t next = 0;
  for (std::int64_t part = 0; part < parts; ++part) {
    const std::int64_t begin = part_begin(units.units, parts, part);
    const std::int64_t kept = part_size(units.units, parts, part);
    for_each(with_extent(whole, dim, units.outer * kept * units.inner), [&](const Index& i) {
      const std::int64_t place = units.in_whole(i[static_cast<std::size_t>(dim)], begin, kept);
      at(call.out[0], moved(i, dim, place)) = call.in[0].elements.at(next++);
    });
  }
}

}  // namespace

void add_layout(Rules& rules) {
  rules["ReduceSum"] = [](const Call& call) { reduce(call, false); };
  rules["ReduceMean"] = [](const Call& call) { reduce(call, true); };
  rules["SumTo"] = sum_to;
  rules["Reshape"] = reshape;
  rules["Transpose"] = transpose;
  rules["Expand"] = expand;
  rules["ShardSlice"] = shard_slice;
  rules["ShardMerge"] = shard_merge;
}

}  // namespace dml::reference
