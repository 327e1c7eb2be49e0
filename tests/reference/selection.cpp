// Parts of tensors along one dim: slice, concat, split, gather, and the gradients of those that need one.
#include "tests/reference/rules.h"

namespace dml::reference {
namespace {

std::int64_t place_in_whole(const Call& call, std::int64_t place) {
  return call.attrs().integer("start") + place * call.attrs().integer("step", 1);
}

void slice(const Call& call) {
  const int axis = call.axis(call.in[0].shape);
  for_each(call.out[0].shape, [&](const Index& i) {
    at(call.out[0], i) = at(call.in[0], moved(i, axis, place_in_whole(call, i[static_cast<std::size_t>(axis)])));
  });
}

void slice_grad(const Call& call) {
  const int axis = call.axis(call.out[0].shape);
  for_each(call.in[0].shape, [&](const Index& i) {
    at(call.out[0], moved(i, axis, place_in_whole(call, i[static_cast<std::size_t>(axis)]))) = at(call.in[0], i);
  });
}

/// body(part, index in the part, index in the whole) for parts that lie one after the other along `axis`.
template <typename Body>
void for_each_part(const std::vector<Tensor64>& parts, int axis, const Body& body) {
  std::int64_t begin = 0;
  for (std::size_t part = 0; part < parts.size(); ++part) {
    for_each(parts[part].shape,
             [&](const Index& i) { body(part, i, moved(i, axis, begin + i[static_cast<std::size_t>(axis)])); });
    begin += parts[part].shape[axis];
  }
}

void concat(const Call& call) {
  for_each_part(call.in, call.axis(call.out[0].shape), [&](std::size_t part, const Index& in_part, const Index& whole) {
    at(call.out[0], whole) = at(call.in[part], in_part);
  });
}

void split(const Call& call) {
  for_each_part(call.out, call.axis(call.in[0].shape), [&](std::size_t part, const Index& in_part, const Index& whole) {
    at(call.out[part], in_part) = at(call.in[0], whole);
  });
}

/// body(index in the rows that were gathered, index in the table) for every element that comes from the table.
template <typename Body>
void for_each_gathered(const Call& call, const Shape& table, const Tensor64& indices, const Shape& gathered,
                       const Body& body) {
  const int axis = call.axis(table, 0);
  const auto first = static_cast<std::ptrdiff_t>(axis);
  for_each(gathered, [&](const Index& i) {
    const auto end = first + indices.shape.rank();
    auto row = static_cast<std::int64_t>(at(indices, Index(i.begin() + first, i.begin() + end)));
    if (row < 0) row += call.attrs().integer("whole", table[axis]);
    row -= call.attrs().integer("offset", 0);
    if (row < 0 || row >= table[axis]) return;
    Index in_table(i.begin(), i.begin() + first);
    in_table.push_back(row);
    in_table.insert(in_table.end(), i.begin() + end, i.end());
    body(i, in_table);
  });
}

void gather(const Call& call) {
  for_each_gathered(call, call.in[0].shape, call.in[1], call.out[0].shape,
                    [&](const Index& i, const Index& in_table) { at(call.out[0], i) = at(call.in[0], in_table); });
}

void gather_grad(const Call& call) {
  for_each_gathered(call, call.out[0].shape, call.in[1], call.in[0].shape,
                    [&](const Index& i, const Index& in_table) { at(call.out[0], in_table) += at(call.in[0], i); });
}

}  // namespace

void add_selection(Rules& rules) {
  rules["Slice"] = slice;
  rules["SliceGrad"] = slice_grad;
  rules["Concat"] = concat;
  rules["Split"] = split;
  rules["Gather"] = gather;
  rules["GatherGrad"] = gather_grad;
}

}  // namespace dml::reference
