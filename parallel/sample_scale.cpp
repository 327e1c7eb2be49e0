#include "parallel/sample_scale.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/error.h"
#include "models/op.h"

namespace dml {
namespace {

/// Calls `visit(number, is_extent)` for each number of the graph.
template <typename Visit>
void for_each_number(SplitGraph& split, Visit visit) {
  for (ValueId id = 0; id < split.graph.num_values(); ++id) {
    ShardSpec& spec = split.shards[static_cast<std::size_t>(id)];
    for (Shape* shape : {&split.graph.value(id).shape, &spec.global_shape}) {
      for (int dim = 0; dim < shape->rank(); ++dim) visit((*shape)[dim], true);
    }
    for (std::int64_t* part : {&spec.sharding.outer, &spec.sharding.units, &spec.sharding.inner}) visit(*part, true);
  }
  for (NodeId id = 0; id < split.graph.num_nodes(); ++id) {
    Attributes& attrs = split.graph.node(id).attrs;
    for (auto [name, attribute] : attrs.all()) {
      if (auto* integer = std::get_if<std::int64_t>(&attribute)) visit(*integer, false);
      if (auto* list = std::get_if<std::vector<std::int64_t>>(&attribute)) {
        for (std::int64_t& item : *list) visit(item, false);
      }
      attrs.set(name, attribute);
    }
  }
}

std::vector<std::int64_t> numbers_of(const SplitGraph& split) {
  SplitGraph copy = split;
  std::vector<std::int64_t> numbers;
  for_each_number(copy, [&](std::int64_t number, bool) { numbers.push_back(number); });
  return numbers;
}

/// Attributes that are no integers, and how many integers the others are.
std::string fixed_part(const Attributes& attrs) {
  std::string text;
  for (const auto& [name, attribute] : attrs.all()) {
    text += name + "=";
    if (const auto* real = std::get_if<double>(&attribute)) text += fmt::format("{:a}", *real);
    if (const auto* string = std::get_if<std::string>(&attribute)) text += *string;
    if (const auto* list = std::get_if<std::vector<std::int64_t>>(&attribute))
      text += fmt::format("[{}]", list->size());
    text += ";";
  }
  return text;
}

bool holds_the_same(const Value& a, const Value& b) {
  if (a.source == b.source) return true;
  if (a.source == nullptr || b.source == nullptr || a.source->shape() != b.source->shape()) return false;
  const auto count = static_cast<std::size_t>(a.source->shape().num_elements());
  if (a.dtype != DataType::f32) {
    std::vector<std::int64_t> of_a(count), of_b(count);
    a.source->read_i64(of_a.data());
    b.source->read_i64(of_b.data());
    return of_a == of_b;
  }
  std::vector<float> of_a(count), of_b(count);
  a.source->read_all_f32(of_a.data());
  b.source->read_all_f32(of_b.data());
  return of_a == of_b;
}

/// What differs between two graphs beside their numbers; empty where nothing does.
std::string difference(const Graph& a, const Graph& b) {
  if (a.num_values() != b.num_values() || a.num_nodes() != b.num_nodes()) return "it has other operations";
  for (ValueId id = 0; id < a.num_values(); ++id) {
    const Value& x = a.value(id);
    const Value& y = b.value(id);
    if (x.name != y.name || x.shape.rank() != y.shape.rank()) return fmt::format("value '{}' is another", x.name);
    if (x.role == Role::constant && !holds_the_same(x, y)) return fmt::format("constant '{}' depends on it", x.name);
  }
  for (NodeId id = 0; id < a.num_nodes(); ++id) {
    const Node& x = a.node(id);
    const Node& y = b.node(id);
    if (x.op != y.op || x.inputs != y.inputs || x.outputs != y.outputs || fixed_part(x.attrs) != fixed_part(y.attrs)) {
      return fmt::format("node '{}' is another", x.name);
    }
  }
  return {};
}

}  // namespace

SampleScale find_scale(std::span<const SplitGraph> sizes) {
  SampleScale scale;
  for (const SplitGraph& other : sizes.subspan(1)) {
    scale.obstacle = difference(sizes[0].graph, other.graph);
    if (!scale.obstacle.empty()) return scale;
  }
  const std::vector<std::int64_t> first = numbers_of(sizes[0]), second = numbers_of(sizes[1]),
                                  third = numbers_of(sizes[2]);
  for (std::size_t i = 0; i < first.size(); ++i) {
    const std::int64_t slope = second[i] - first[i];
    if (slope != 0) scale.slopes.emplace_back(static_cast<std::int64_t>(i), slope);
    if (third[i] - second[i] != slope) scale.obstacle = "an extent does not grow evenly with it";
  }
  return scale;
}

SplitGraph scaled(const SplitGraph& split, const SampleScale& scale, std::int64_t more) {
  SplitGraph result = split;
  std::int64_t index = 0;
  auto next = scale.slopes.begin();
  for_each_number(result, [&](std::int64_t& number, bool is_extent) {
    if (next != scale.slopes.end() && next->first == index) {
      number += next->second * more;
      ++next;
      if (is_extent && number < 0) throw ModelError(fmt::format("an extent is {} with {} more samples", number, more));
    }
    ++index;
  });
  if (next != scale.slopes.end())
    throw ModelError(fmt::format("a slope is given for number {} of {}", next->first, index));
  return result;
}

}  // namespace dml
